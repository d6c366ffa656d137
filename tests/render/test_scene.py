"""Scenes: what is sampled obeys the specification and depends on seed and number alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.render.camera import matrix4, project, transform
from perceptransfer.render.codec import from_json, to_json
from perceptransfer.render.colours import to_srgb
from perceptransfer.render.hand import ANATOMY, FINGERS, KEYPOINT_NAMES, Pose, build, finger_joints
from perceptransfer.render.hand_scene import Fingers, Hand
from perceptransfer.render.optics import Crops, Viewpoint
from perceptransfer.render.paint import behind
from perceptransfer.render.plan import Background, Camera, Capsules, ScenePlan
from perceptransfer.render.rotations import Upright
from perceptransfer.render.scene import Scene
from perceptransfer.render.spec import read_scene
from perceptransfer.render.surfaces import Backdrop
from perceptransfer.render.things import CORNERS, Block, Can
from tests.scenes import small_table

ROOT = Path(__file__).parents[2]
SPECS = sorted(ROOT.glob("datasets/*/scene.yaml"))


def own_specs() -> list[Path]:
    return [path for path in SPECS if path.parent.name in ("primitives", "procedural_hand")]


def hulls(scene: Scene, plan: ScenePlan) -> dict[str, np.ndarray]:
    """World points of every body on the table, made again from the draws."""
    from perceptransfer.render.draws import Draws

    found = {}
    for body in plan.bodies[1:]:
        kinds = scene.objects if body.category else {body.name: scene.distractors[0]}
        made = kinds[body.name].make(Draws(plan.seed, "scene", plan.index, plan.attempt, "thing", body.name))
        found[body.name] = transform(body.world_from_object, made.hull)
    return found


@pytest.mark.parametrize("path", own_specs(), ids=lambda path: path.parent.name)
def test_a_plan_depends_on_seed_index_and_attempt_alone(path: Path) -> None:
    scene = read_scene(path)
    plan = scene.sample(3, 7)
    assert read_scene(path).sample(3, 7) == plan and hash(plan) == hash(scene.sample(3, 7))
    assert len({to_json(it) for it in (plan, scene.sample(4, 7), scene.sample(3, 8), scene.sample(3, 7, 1))}) == 4
    assert from_json(to_json(plan)) == plan


@pytest.mark.parametrize("path", own_specs(), ids=lambda path: path.parent.name)
def test_a_specification_survives_the_way_to_a_worker(path: Path) -> None:
    scene = read_scene(path)
    again = instantiate(config_of(scene))
    assert again.sample(0, 1) == scene.sample(0, 1) and config_of(again) == config_of(scene)


@pytest.mark.parametrize("path", own_specs(), ids=lambda path: path.parent.name)
def test_samples_are_numbered_without_gaps_and_classes_come_equally_often(path: Path) -> None:
    scene = read_scene(path)
    views = [view for index in range(12) for view in scene.sample(0, index).views]
    assert [view.sample for view in views] == list(range(12 * scene.views_per_scene))
    labels = [view.label for view in views]
    counts = [labels.count(name) for name in scene.classes]
    assert len(set(counts)) == 1 and sum(counts) == len(views)
    assert scene.plan_of(0, 5).views == (views[5],)


def test_things_stand_on_the_table_and_keep_clear_of_one_another() -> None:
    scene = small_table(closeness=0.0, distractor_count=(1, 3))
    for index in range(6):
        found = hulls(scene, scene.sample(1, index))
        assert len(found) >= 5
        for points in found.values():
            assert points[:, 2].min() == pytest.approx(0, abs=1e-9)
        circles = [(p[:, :2].mean(0), p) for p in found.values()]
        for (_, a), (_, b) in itertools.combinations(circles, 2):
            gap = np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=2).min()
            assert gap > -1e-9 and not _overlap(a, b)


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the boxes around two point sets meet on the table in every one of many directions."""
    for angle in np.linspace(0, np.pi, 60):
        along = np.array([np.cos(angle), np.sin(angle)])
        if (a[:, :2] @ along).max() < (b[:, :2] @ along).min() or (b[:, :2] @ along).max() < (a[:, :2] @ along).min():
            return False
    return True


def test_a_crop_holds_its_object_with_the_margin() -> None:
    scene = small_table(crops=Crops([40, 30], margin=1.5, shift=0.0))
    plan = scene.sample(0, 0)
    for view, (name, points) in zip(plan.views, list(hulls(scene, plan).items())[:4], strict=True):
        assert view.label == name
        pixels = project(view.camera, points)[:, :2]
        share = np.ptp(pixels, axis=0) / (40, 30)
        assert share.max() == pytest.approx(1 / 1.5)
        np.testing.assert_allclose((pixels.min(0) + pixels.max(0)) / 2, [19.5, 14.5], atol=1e-6)


def test_the_cube_around_a_ball_stands_upright_and_other_things_are_turned() -> None:
    bodies = [body for index in range(5) for body in small_table(distractor_count=2).sample(0, index).bodies[1:]]
    for body in bodies:
        upright = np.array_equal(np.asarray(body.world_from_object)[:3, :3], np.eye(3))
        assert upright == (body.category == "ball")


def test_without_room_the_area_grows() -> None:
    plan = small_table(spread_m=0.001).sample(0, 0)
    places = [np.asarray(body.world_from_object)[:2, 3] for body in plan.bodies[1:]]
    assert max(np.linalg.norm(place) for place in places) > 0.03


def test_an_object_behind_the_camera_gives_a_picture_of_the_right_size_that_will_be_refused() -> None:
    near = Viewpoint([64, 48], [60, 60], distance_m=0.02, elevation_deg=5.0)
    plan = small_table(viewpoint=near).sample(0, 0)
    assert {(view.camera.width, view.camera.height) for view in plan.views} == {(24, 24)}


def test_symmetries_leave_the_shape_and_permute_the_corners() -> None:
    from perceptransfer.render.draws import Draws

    for thing in (Block(), Can()):
        made = thing.make(Draws(0))
        points = np.asarray(made.keypoints)
        for motion in made.symmetries:
            moved = transform(motion, points)
            assert sorted(map(tuple, moved.round(9))) == sorted(map(tuple, points.round(9)))
            assert not np.allclose(moved, points)
    flip = Block.keypoint_flip
    assert flip is not None and [flip[i] for i in flip] == list(range(9))
    assert all(CORNERS[flip[1 + i] - 1][1:] == signs[1:] for i, signs in enumerate(CORNERS))


STRAIGHT = Pose(((0.0, 0.0, 0.0),) * 5, (0.0,) * 5)  # type: ignore[arg-type]


def test_bones_keep_their_lengths_in_every_pose() -> None:
    pose = Fingers().sample(_draws(), "01001")
    for scale, mirrored in ((1.0, False), (0.8, True)):
        shape, points, reach = build(pose, scale, mirrored)
        assert len(points) == len(KEYPOINT_NAMES) == len(reach) == 21
        assert isinstance(shape, Capsules)
        for number, name in enumerate(FINGERS):
            joints = points[1 + 4 * number : 5 + 4 * number]
            lengths = np.linalg.norm(np.diff(joints, axis=0), axis=1)
            np.testing.assert_allclose(lengths, scale * np.asarray(ANATOMY[name].lengths))


def test_open_fingers_are_longer_than_closed_ones_and_bend_to_the_palm() -> None:
    for seed in range(10):
        pose = Fingers().sample(_draws(seed), "01010")
        for name, bit, flexion, spread in zip(FINGERS, "01010", pose.flexion, pose.spread, strict=True):
            joints = finger_joints(name, flexion, spread)
            reach = np.linalg.norm(joints[3] - joints[0]) / sum(ANATOMY[name].lengths)
            if name != "thumb":
                assert reach > 0.9 if bit == "1" else reach < 0.62
                assert bit == "1" or joints[3][2] < joints[0][2] - 0.005  # the tip lies on the palm's side
    closed_thumb = finger_joints("thumb", (25.0, 55.0, 50.0), -34.0)
    open_thumb = finger_joints("thumb", (5.0, 10.0, 9.0), 0.0)
    assert closed_thumb[3][0] > open_thumb[3][0] + 0.03  # folded over the palm, towards the little finger


def test_a_left_hand_is_the_mirror_image() -> None:
    _, right, _ = build(STRAIGHT, 1.0, False)
    _, left, _ = build(STRAIGHT, 1.0, True)
    np.testing.assert_allclose(left, right * [-1, 1, 1])
    assert right[1][0] < 0 < right[17][0]  # thumb base left of the little finger, seen from the back


def test_the_class_of_a_hand_is_its_finger_state() -> None:
    scene = read_scene(ROOT / "datasets" / "procedural_hand" / "scene.yaml")
    assert isinstance(scene, Hand)
    for index in range(24):
        plan = scene.sample(0, index)
        state = f"{int(dict(plan.bodies[0].joints)['state']):05b}"
        assert state in scene.states[plan.views[0].label]
        assert plan.views[0].label == str(state.count("1"))


def _draws(seed: int = 0) -> object:
    from perceptransfer.render.draws import Draws

    return Draws(seed)


def test_photos_as_backgrounds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        Backdrop(photos=str(tmp_path))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.png").touch()
    drawn = [Backdrop(photos=str(tmp_path), photo_share=0.5).sample(_draws(i)) for i in range(40)]  # type: ignore[arg-type]
    photos = [it.texture.image for it in drawn]
    assert 8 < photos.count(str(tmp_path / "deep" / "a.png")) < 32 and None in photos
    assert isinstance(drawn[0], Background)


@pytest.mark.parametrize("part", [0.0, [0.2, 1.5]])
def test_a_piece_of_a_photo_is_a_share_of_it(part: Any) -> None:
    with pytest.raises(ConfigError, match="photo_part"):
        Backdrop(photo_part=part)


def test_a_photo_stands_behind_a_picture_at_the_scale_asked_for(tmp_path: Path) -> None:
    # A ramp from left to right: what the piece spans tells how large it is.
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint8)[None, :, None], 3, 2).repeat(128, 0)
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    camera = Camera(((1, 0, 0), (0, 1, 0), (0, 0, 1)), 64, 64, matrix4(np.eye(4)))
    for part in (0.25, 1.0):
        backdrop = Backdrop(photos=str(tmp_path), photo_share=1.0, photo_part=part)
        seen = to_srgb(behind(backdrop.sample(_draws()), camera))  # type: ignore[arg-type]
        assert np.ptp(seen[0, :, 0]) * 255 == pytest.approx(part * 128, abs=4)  # a square piece of 256 x 128 pixels


def test_an_object_may_have_a_rotation_of_its_own() -> None:
    lying = Upright(tilt_deg=90.0)
    scene = small_table(rotation=Upright(), rotations={"block": lying})
    poses = {body.category: np.asarray(body.world_from_object) for body in scene.sample(0, 0).bodies if body.category}
    assert abs(poses["block"][2, 2]) < 1e-9 and poses["pill"][2, 2] == pytest.approx(1)
    with pytest.raises(ConfigError, match="no such objects: \\['brick'\\]"):
        small_table(rotations={"brick": lying})


def test_a_table_needs_objects() -> None:
    with pytest.raises(ConfigError, match="no objects"):
        small_table(objects={})
    with pytest.raises(ConfigError, match="closeness"):
        small_table(closeness=1.0)


def test_a_hand_that_reaches_behind_the_camera_is_refused_with_the_remedy() -> None:
    scene = read_scene(
        ROOT / "datasets" / "procedural_hand" / "scene.yaml",
        {"viewpoint.distance_m": [0.02, 0.03], "crops.min_visible_share": 0.0},
    )
    with pytest.raises(ConfigError, match="behind the camera") as caught:
        [scene.sample(0, index) for index in range(20)]
    assert caught.value.key == "distance_m" and "viewpoint.distance_m" in str(caught.value.remedy)
