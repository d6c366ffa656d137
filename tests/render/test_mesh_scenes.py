"""Scenes whose models lie elsewhere: what is missing or of no use is named, and the keypoints are the agreed ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.render.mesh_table import MeshTable
from perceptransfer.render.plan import Capsules, Fit, RiggedHand
from perceptransfer.render.rig_scene import RigHand
from perceptransfer.render.spec import read_scene

DATASETS = Path(__file__).parents[2] / "datasets"
LMO = DATASETS / "lmo" / "scene.yaml"
HANDS = [DATASETS / "rigged_hand" / name for name in ("scene.yaml", "rock_paper_scissors.yaml")]
NAMES = [f"obj_{number:06d}.ply" for number in (1, 5, 6, 8, 9, 10, 11, 12)]


def ply(path: Path, points: np.ndarray, colours: bool = True, faces: int = 1) -> None:
    """A small mesh."""
    extra = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) if colours else ""
    head = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    head += "property float x\nproperty float y\nproperty float z\n" + extra
    head += f"element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [" ".join(f"{x:g}" for x in point) + (" 200 100 50" if colours else "") for point in points]
    path.write_text(head + "\n".join([*rows, *["3 0 1 2"] * faces]) + "\n")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Eight small meshes under the names of LM-O, in millimetres."""
    for number, name in enumerate(NAMES):
        ply(tmp_path / name, np.random.default_rng(number).uniform(-50, 50, (12, 3)))
    return tmp_path


def lmo(models: Path) -> MeshTable:
    scene = read_scene(LMO, {"models": str(models)})
    assert isinstance(scene, MeshTable)
    return scene


def test_one_scene_gives_a_picture_of_every_object(models: Path) -> None:
    scene = lmo(models)
    plan = scene.sample(0, 2)
    assert scene.classes == ("ape", "can", "cat", "driller", "duck", "eggbox", "glue", "holepuncher")
    assert [view.sample for view in plan.views] == list(range(16, 24))
    assert [view.label for view in plan.views] == list(scene.classes)
    assert all((view.camera.width, view.camera.height) == (96, 96) for view in plan.views)
    bodies = {body.category: body for body in plan.bodies if body.category}
    assert {len(body.keypoints) for body in bodies.values()} == {9} == {len(scene.keypoint_names)}
    assert {name: len(body.symmetries) for name, body in bodies.items() if body.symmetries} == {"eggbox": 1, "glue": 1}
    assert np.allclose(bodies["glue"].symmetries[0], np.diag([-1, -1, 1, 1]))
    assert all(body.material.vertex_colours for body in bodies.values())
    assert scene.plan_of(0, 19) == plan.only(19)
    assert scene.describe()["keypoint_flip"] is None  # a mirrored ape is no ape


def test_the_scene_survives_as_configuration(models: Path) -> None:
    scene = lmo(models)
    assert instantiate(config_of(scene)).sample(3, 1) == scene.sample(3, 1)


def test_meshes_and_hands_count_by_their_content(models: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(models, tmp_path / "moved"))
    assert fingerprint(lmo(moved)) == fingerprint(lmo(models))
    ply(moved / NAMES[3], np.random.default_rng(9).uniform(-50, 50, (12, 3)))
    assert fingerprint(lmo(moved)) != fingerprint(lmo(models))
    found = []
    for place, content in (("a", "one"), ("b", "one"), ("c", "other")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "hand.blend").write_text(content)
        found.append(fingerprint(read_scene(HANDS[0], {"model": str(tmp_path / place / "hand.blend")})))
    assert found[0] == found[1] != found[2]


def test_missing_models_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        read_scene(LMO, {"models": str(tmp_path / "none")})
    assert "none" in str(caught.value) and "models" in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (Path.unlink, "No such file"),
        (lambda path: path.write_text(""), "not a readable PLY"),
        (lambda path: ply(path, np.zeros((0, 3)), faces=0), "empty"),
        (lambda path: ply(path, np.ones((3, 3)), faces=0), "empty"),
        (lambda path: ply(path, np.eye(3), colours=False), "no vertex colours"),
        (lambda path: ply(path, np.eye(3) * np.nan), "not finite"),
    ],
)
def test_a_mesh_of_no_use_is_named(models: Path, spoil: object, complaint: str) -> None:
    spoil(models / NAMES[3])  # type: ignore[operator]
    with pytest.raises((ConfigError, DataError), match=complaint) as caught:
        lmo(models)
    assert NAMES[3] in str(caught.value)


def test_the_keypoints_are_those_of_the_reference_set(shared_data: Path) -> None:
    models, reference = shared_data / "lmo_real" / "models", shared_data / "lmo_synth" / "model_keypoints.json"
    if not (models.is_dir() and reference.is_file()):
        pytest.skip("no LM-O beside the checkout")
    agreed = json.loads(reference.read_text())
    bodies = {body.category: body for body in lmo(models).sample(0, 0).bodies if body.category}
    for name, body in bodies.items():
        assert np.allclose(np.array(body.keypoints) * 1000, agreed[name]["points_mm"], atol=2e-4), name


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    """A place holder: plans do not open the model."""
    path = tmp_path / "hand.blend"
    path.touch()
    return path


@pytest.mark.parametrize("path", HANDS, ids=lambda path: path.stem)
def test_hands_have_the_joints_of_their_class(blend: Path, path: Path) -> None:
    scene = read_scene(path, {"model": str(blend)})
    assert isinstance(scene, RigHand) and len(scene.keypoint_names) == 21
    for index in range(2 * len(scene.classes)):
        plan = scene.sample(1, index)
        (view,), hand = plan.views, plan.bodies[0]
        assert view.label == scene.classes[index % len(scene.classes)] and view.target == 1 and view.sample == index
        assert isinstance(hand.shape, RiggedHand) and isinstance(view.fit, Fit) and len(hand.reach) == 21
        bends = [angle for name, angle in hand.joints if name.endswith(".x")]
        state = "".join("1" if angle < 30 else "0" for angle in bends)
        assert state in scene.states[view.label]
        for sleeve in plan.bodies[1:]:
            assert isinstance(sleeve.shape, Capsules) and sleeve.category == "hand"
            assert sleeve.world_from_object == hand.world_from_object
        points = np.array(hand.world_from_object) @ [-0.02, 0.0, 0.07, 1]
        assert np.abs(points[:3]).max() < 0.02  # the hand's middle stands where the camera looks


def test_rock_paper_scissors_come_from_the_right(blend: Path) -> None:
    scene = read_scene(HANDS[1], {"model": str(blend)})
    along = []
    for index in range(20):
        plan = scene.sample(0, index)
        camera = np.linalg.inv(plan.views[0].camera.world_from_camera)
        along.append((camera @ np.array(plan.bodies[0].world_from_object))[:2, 2])  # fingers: the model's z
    assert np.mean(along, axis=0)[0] < -0.8 and max(x for x, _ in along) < 0


def test_a_missing_hand_is_named(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=r"nothing\.blend") as caught:
        read_scene(HANDS[0], {"model": str(tmp_path / "nothing.blend")})
    assert "model=FILE.blend" in str(caught.value)
