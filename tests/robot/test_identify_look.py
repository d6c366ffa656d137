"""A look that was put in is found again from pictures at known joint angles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import DataError
from perceptransfer.robot.identify_look import CAMERA, COLOURS, STAGES, IdentifiedLook, Stage, identify_look
from perceptransfer.robot.look import Look
from perceptransfer.robot.picture_match import PictureMatch
from perceptransfer.robot.worlds import Reach, Start

MOVED = {"camera.dy": 0.03, "camera.roll": 3.0, "camera.fov": 52.5, "sensor.noise": 0.03}
JOINTS = [np.array([[-0.9, 1.2], [0.1, 0.9], [-1.5, 2.0]]), np.array([[-0.3, 1.6], [-1.2, 0.7], [0.4, 1.1]])]
GEOMETRY = (Stage(CAMERA, 3.0, 8), Stage(CAMERA, 1.5, 8))


def photographed(world: Reach, look: Look) -> list[np.ndarray]:
    """Two episodes with a target and other things on the table that nobody tells the fit of."""
    seen = []
    for seed, joints in enumerate(JOINTS):
        start = Start((0.0, 1.0), (0.25, -0.1 + 0.2 * seed), None, seed)
        world.reset(options={"start": start, "look": look})
        seen.append(np.stack([world.place(angles)[0]["image"] for angles in joints]))
    return seen


@pytest.fixture(scope="module")
def small() -> Iterator[Reach]:
    world = Reach(size=64)
    yield world
    world.close()


@pytest.fixture(scope="module")
def found(small: Reach, looks: dict[str, Look]) -> IdentifiedLook:
    room = looks["source"].changed({**MOVED, "distractors.count": 3})
    return identify_look(small, photographed(small, room), JOINTS, looks["source"], stages=GEOMETRY)


def corners(world: Reach, look: Look) -> np.ndarray:
    world.reset(options={"start": Start((0.0, 1.0), (0.25, 0.1), None, 0), "look": look})
    return np.concatenate([world.place(np.array(joints))[1]["labels"]["keypoints"] for joints in ((0, 1), (-1, 2))])


def test_the_camera_is_found_to_a_fraction_of_a_pixel(
    small: Reach, looks: dict[str, Look], found: IdentifiedLook
) -> None:
    wanted, before = corners(small, looks["source"].changed(MOVED)), corners(small, looks["source"])
    after = corners(small, looks["source"].changed(found.estimates))
    assert np.hypot(*(before - wanted).T).mean() > 2.0, "the test's camera hardly moved"
    assert np.hypot(*(after - wanted).T).mean() < 0.7
    assert found.misfit[1] < 0.7 * found.misfit[0]


def test_noise_is_read_off_the_grain(found: IdentifiedLook) -> None:
    low, high = found.look.ranges["sensor.noise"]
    assert 0.025 < low <= high < 0.035


def test_ranges_hold_the_estimates_and_nothing_else_changes(looks: dict[str, Look], found: IdentifiedLook) -> None:
    for name in CAMERA:
        low, high = found.look.ranges[name]
        assert low - 1e-4 <= found.estimates[name] <= high + 1e-4
    for name in COLOURS:
        assert found.look.ranges[name] == looks["source"].ranges[name]


def test_the_file_is_a_look_with_comments(found: IdentifiedLook, tmp_path: Path) -> None:
    found.write(tmp_path / "found.yaml")
    assert Look.read(tmp_path / "found.yaml").fingerprint == found.look.fingerprint
    assert (tmp_path / "found.yaml").read_text().startswith("# Fitted")


def test_colours_come_closer(small: Reach, looks: dict[str, Look]) -> None:
    room = looks["source"].changed({"table.value": 0.45, "table.saturation": 0.4, "arm.value": 0.8})
    stages = (Stage(("table.value", "table.saturation", "arm.value"), 2.0, 15),)
    found = identify_look(small, photographed(small, room), JOINTS, looks["source"], stages=stages)
    assert found.estimates["table.value"] == pytest.approx(0.45, abs=0.03)
    assert found.estimates["table.saturation"] == pytest.approx(0.4, abs=0.05)
    assert found.estimates["arm.value"] == pytest.approx(0.8, abs=0.1)


def test_the_direction_of_a_light_shows_in_the_shadow(small: Reach, looks: dict[str, Look]) -> None:
    room = looks["source"].changed({"light.azimuth": -95.0, "light.elevation": 42.0, "light.shadow": 1.0})
    stages = (Stage(("light.azimuth", "light.elevation"), 2.0, 6, search=True),)
    found = identify_look(small, photographed(small, room), JOINTS, looks["source"], stages=stages)
    assert found.estimates["light.shadow"] == 1.0
    assert found.estimates["light.azimuth"] == pytest.approx(-95, abs=20)


def test_what_differs_counts_episode_by_episode(small: Reach, looks: dict[str, Look]) -> None:
    clean = looks["source"].changed({"sensor.noise": 0.0})
    pictures = photographed(small, clean)
    match = PictureMatch(small, pictures, JOINTS)
    off = match.off(clean, 2.0).reshape(2, -1)
    other = PictureMatch(small, [pictures[0] // 2, pictures[1]], JOINTS).off(clean, 2.0).reshape(2, -1)
    assert np.abs(other[0]).mean() > 2 * np.abs(off[0]).mean()
    np.testing.assert_array_equal(other[1], off[1])


def test_every_stage_fits_known_variables_and_ends_with_all(looks: dict[str, Look]) -> None:
    known = looks["source"].ranges
    assert all(name in known for stage in STAGES for name in stage.names)
    assert {name for stage in STAGES for name in stage.names} == set(STAGES[-1].names)


@pytest.mark.parametrize("spoil", ["one episode", "other size", "other joints", "NaN"])
def test_bad_pictures_are_refused(small: Reach, looks: dict[str, Look], spoil: str) -> None:
    pictures, joints = [np.zeros((3, 64, 64, 3), np.uint8)] * 2, list(JOINTS)
    if spoil == "one episode":
        pictures, joints = pictures[:1], joints[:1]
    elif spoil == "other size":
        pictures = [np.zeros((3, 32, 32, 3), np.uint8)] * 2
    elif spoil == "other joints":
        joints = [joints[0][:2], joints[1]]
    else:
        joints = [np.full((3, 2), np.nan), joints[1]]
    with pytest.raises(DataError):
        identify_look(small, pictures, joints, looks["source"])
