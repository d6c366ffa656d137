"""Scene files keep what their authors wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from perceptransfer.render.calibration.space import LIMITS, ranges_at
from perceptransfer.render.calibration.write import plain, with_sensor
from perceptransfer.render.spec import read_scene, read_sensor

RANGES = ranges_at(np.full(2 * len(LIMITS), 0.4))
SCENES = sorted((Path(__file__).parents[3] / "datasets").glob("*/scene.yaml"))


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.parent.name)
def test_shipped_scenes_change_in_their_sensor_only(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    made = with_sensor(text, RANGES, "fitted")
    old, new = yaml.safe_load(text), yaml.safe_load(made)
    assert new["init_args"]["sensor"].items() >= plain(RANGES).items()
    kept = old["init_args"].pop("sensor").keys() - LIMITS.keys()
    assert kept <= new["init_args"].pop("sensor").keys() and new == old
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in made.splitlines() if line.startswith("#")
    ]
    (tmp_path / "x.yaml").write_text(made)
    assert read_sensor(tmp_path / "x.yaml").ranges["gamma"].low == RANGES["gamma"].low


def test_a_written_scene_is_read_again(tmp_path: Path) -> None:
    source = next(path for path in SCENES if path.parent.name == "primitives")
    path = tmp_path / "x.yaml"
    path.write_text(with_sensor(source.read_text(), RANGES, "fitted"))
    sensor = read_scene(path).sensor
    assert {name: (sensor.ranges[name].low, sensor.ranges[name].high) for name in LIMITS} == {
        name: (it.low, it.high) for name, it in RANGES.items()
    }
    assert sensor.ranges["jpeg_quality"].low == 70  # not fitted, as it was


@pytest.mark.parametrize(
    "text",
    [
        "sensor: {}\n",
        "sensor: {blur_px: 1}  # hello\n",
        "class_path: Table\ninit_args: {sensor: {motion_px: 2}, other: 1}\n",
        "class_path: Table\ninit_args:\n  other: 1\n",
        "init_args:\n  a: &x {blur_px: 3}\n  sensor: *x\n",
        "init_args:\n  sensor: &x\n    blur_px: 3\n  b: *x\n",
        "sensor:\nb: 2\n",
    ],
)
def test_any_layout(text: str) -> None:
    expected = yaml.safe_load(text)
    inside = expected.get("init_args", expected)
    inside["sensor"] = {**(inside.get("sensor") or {}), **plain(RANGES)}
    assert yaml.safe_load(with_sensor(text, RANGES, "fitted")) == expected
