"""Files of dynamics: units, and errors that name file, key and remedy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perceptransfer.core.errors import ConfigError
from perceptransfer.robot.dynamics import DIMENSIONS, LIMITS, Dynamics

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "dynamics").glob("*.yaml"))


def test_units_are_converted_and_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "arm.yaml"
    path.write_text("joint_friction: 0.6 Nm\ndelay: 50 ms\nbacklash: 9 deg\npayload: 300 g\ngear: 45 %\n")
    found = Dynamics.read(path)
    assert found == Dynamics(0.6, Dynamics().puck_friction, 0.05, 9 * math.pi / 180, 0.3, 0.45)
    assert DIMENSIONS.keys() == LIMITS.keys()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_read_and_shift_something(path: Path) -> None:
    assert Dynamics.read(path) != Dynamics()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("delay: 0.05", r"delay.*has no unit|has no unit.*delay"),
        ("delay: 50 mm", "does not measure a time"),
        ("friction: 0.1 Nm", "known are joint_friction"),
        ("payload: 9 kg", r"out of range.*key: payload"),
        ("gear: nan 1", "not a quantity"),
        ("delay: 1 ms\ndelay: 2 ms", "given twice"),
        ("- 1", "holds no parameters"),
        ("a: [", "configs/dynamics"),
        (None, "configs/dynamics"),
    ],
)
def test_bad_files(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "arm.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s)arm.yaml.*({said})") as caught:
        Dynamics.read(path)
    assert type(caught.value) is ConfigError and caught.value.remedy
