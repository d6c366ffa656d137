"""Start panels: fixed, nested, and no start in two of them."""

from __future__ import annotations

import numpy as np
import pytest

from perceptransfer.core.errors import ConfigError
from perceptransfer.robot.panels import PANELS, panel, remainder
from perceptransfer.robot.worlds import WORLDS

FIRST_TARGET, FIRST_SEED = (0.22272440580897487, 0.1851603782683713), 2103570514


@pytest.mark.parametrize("world", WORLDS)
def test_panels_share_no_start(world: str) -> None:
    starts = {name: set(panel(world, name, 150).starts) for name in PANELS}
    targets = [start.target for name in PANELS for start in starts[name]]
    assert all(len(found) == 150 for found in starts.values()) and len(set(targets)) == len(targets)
    remainders = {name: {remainder(start) for start in starts[name]} for name in ("train", "validation", "test")}
    assert remainders == {"train": {0}, "validation": {1}, "test": {2}}


@pytest.mark.parametrize("name", PANELS)
def test_a_longer_panel_begins_with_the_shorter(name: str) -> None:
    assert panel("reach", name, 20).starts[:7] == panel("reach", name, 7).starts


def test_panels_are_the_same_on_every_machine() -> None:
    first = panel("reach", "test", 1).starts[0]
    assert first.target == pytest.approx(FIRST_TARGET, abs=1e-9) and first.seed == FIRST_SEED


def test_regions_do_not_overlap_on_the_table() -> None:
    def polar(name: str) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.array([start.target for start in panel("reach", name, 300).starts]).T
        return np.hypot(x, y), np.rad2deg(np.arctan2(y, x))

    (inside, angle), (_, wedge), (edge, _) = polar("train"), polar("held_out"), polar("edge")
    assert not ((angle >= 15) & (angle <= 33)).any() and ((wedge >= 17) & (wedge <= 31)).all()
    assert inside.min() >= 0.17 and inside.max() <= 0.33
    assert ((edge > 0.34) | (edge < 0.16)).all() and (edge > 0.34).any() and (edge < 0.16).any()


def test_pushing_directions_are_held_out() -> None:
    def directions(name: str) -> np.ndarray:
        ways = np.array([np.subtract(start.target, start.puck) for start in panel("push", name, 200).starts])
        return np.rad2deg(np.arctan2(ways[:, 1], ways[:, 0])) % 360

    trained, held_out = directions("train"), directions("held_out")
    assert not ((trained > 45) & (trained < 75)).any() and ((held_out >= 48) & (held_out <= 72)).all()


@pytest.mark.parametrize(("world", "name", "key"), [("walk", "test", "world"), ("reach", "tests", "panel")])
def test_unknown_names(world: str, name: str, key: str) -> None:
    with pytest.raises(ConfigError, match="known are") as caught:
        panel(world, name)
    assert caught.value.key == key
