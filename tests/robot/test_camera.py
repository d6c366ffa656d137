"""Pictures: what they show, where, how sharp labels are, latency and the sensor."""

from __future__ import annotations

import subprocess
import sys

import mujoco
import numpy as np
import pytest

from perceptransfer.core.errors import RenderError
from perceptransfer.robot import gl
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.sensor import expose
from perceptransfer.robot.variables import VARIABLES
from perceptransfer.robot.worlds import ArmWorld, Push, Reach

STARTS = panel("reach", "test").starts
NEUTRAL = {key: it.default for key, it in VARIABLES.items()}


def picture(world: ArmWorld, look: Look, start: int = 0) -> np.ndarray:
    starts = panel(world.name, "test").starts
    return world.reset(options={"start": starts[start], "look": look})[0]["image"]


def test_pictures_repeat_to_the_bit_and_depend_on_look_and_start(seeing: Reach, looks: dict[str, Look]) -> None:
    first = picture(seeing, looks["randomized"])
    others = [picture(seeing, looks["target"]), picture(seeing, looks["randomized"], start=1)]
    assert np.array_equal(first, picture(seeing, looks["randomized"])), "nothing of other episodes may stay behind"
    assert first.shape == (96, 96, 3) and first.dtype == np.uint8
    assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("name", ["source", "randomized", "target", "final_a", "final_b"])
def test_the_target_is_red_where_the_label_says(seeing: Reach, looks: dict[str, Look], name: str) -> None:
    clean = looks[name].changed({"sensor.noise": 0.0})
    seen = 0
    for start in range(6):
        image = picture(seeing, clean, start).astype(int)
        column, row = np.rint(seeing.labels()["keypoints"][3]).astype(int)
        patch = image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].reshape(-1, 3)
        red = (patch[:, 0] > 1.3 * patch[:, 1]) & (patch[:, 0] > 1.1 * patch[:, 2])
        seen += red.mean() > 0.5
    assert seen >= 5, "an arm may hide one"


@pytest.mark.parametrize("name", ["source", "target"])
def test_segmentation_and_projected_labels_agree(seeing_push: Push, looks: dict[str, Look], name: str) -> None:
    picture(seeing_push, looks[name], 2)
    mask = seeing_push.segmentation()
    keypoints = dict(zip(("base", "elbow", "tip", "target", "puck"), seeing_push.labels()["keypoints"], strict=True))
    for geom in ("target", "puck"):
        rows, columns = np.nonzero(mask == seeing_push.model.geom(geom).id + 1)
        assert len(rows) > 15
        assert np.array([columns.mean(), rows.mean()]) == pytest.approx(keypoints[geom], abs=1.5)


def test_segmentation_leaves_the_next_picture_alone(seeing: Reach, looks: dict[str, Look]) -> None:
    look = looks["source"].changed({"sensor.noise": 0.0})
    before = picture(seeing, look)
    seeing.segmentation()
    assert np.array_equal(before, seeing._eye().picture(seeing.data))


def test_camera_shift_moves_pictures_and_labels_together(seeing: Reach, looks: dict[str, Look]) -> None:
    places = []
    for changed in ({}, {"camera.dy": 0.05}, {"camera.pan": 5.0}, {"camera.roll": 10.0}, {"camera.fov": 40.0}):
        picture(seeing, Look(changed), 1)
        rows, columns = np.nonzero(seeing.segmentation() == seeing.model.geom("target").id + 1)
        label = seeing.labels()["keypoints"][3]
        assert label == pytest.approx([columns.mean(), rows.mean()], abs=1.0)
        places.append(label)
    assert all(np.hypot(*(place - places[0])) > 2 for place in places[1:])


def test_latency_shows_an_older_arm(seeing: Reach) -> None:
    look = {0.0: Look(), 0.1: Look({"sensor.latency": 0.1})}
    films = {}
    for latency in look:
        seeing.reset(options={"start": STARTS[0], "look": look[latency]})
        films[latency] = [seeing.step(np.array([-1.5, 1.0]))[0]["image"] for _ in range(6)]
    for tick in range(2, 6):  # 0.1 s are two ticks
        assert np.array_equal(films[0.1][tick], films[0.0][tick - 2])
    assert not np.array_equal(films[0.1][5], films[0.0][5])


def test_shadows_and_distractors_are_drawn(seeing: Reach) -> None:
    plain = picture(seeing, Look())
    shadow = picture(seeing, Look({"light.shadow": 1.0}))
    assert 20 < (shadow.astype(int).sum(2) < plain.astype(int).sum(2) - 30).sum() < 3000
    picture(seeing, Look({"distractors.count": 6}))
    objects = [seeing.model.geom(f"object{i}").id + 1 for i in range(6)]
    assert np.isin(seeing.segmentation(), objects).sum() > 60


def test_distractors_keep_clear_of_the_task(seeing: Reach) -> None:
    look = Look({"distractors.count": 6})
    for start in STARTS[:20]:
        seeing.reset(options={"start": start, "look": look})
        for i in range(6):
            place = seeing.model.geom(f"object{i}").pos
            assert place[2] < 0 or np.hypot(*(place[:2] - start.target)) > 0.07


def grey(value: int = 100) -> np.ndarray:
    return np.full((96, 96, 3), value, np.uint8)


def test_a_neutral_sensor_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(expose(image, NEUTRAL, np.random.default_rng(0)), image)


def test_sensor_by_hand() -> None:
    rng = np.random.default_rng(0)
    assert (expose(grey(), NEUTRAL | {"sensor.exposure": 1.0}, rng) == 200).all()
    assert (expose(grey(64), NEUTRAL | {"sensor.gamma": 0.5}, rng) == round(255 * (64 / 255) ** 0.5)).all()
    assert expose(grey(), NEUTRAL | {"sensor.red": 1.5, "sensor.blue": 0.5}, rng)[0, 0].tolist() == [150, 100, 50]
    red = np.zeros((4, 4, 3), np.uint8) + np.array([90, 0, 0], np.uint8)
    assert expose(red, NEUTRAL | {"sensor.saturation": 0.0}, rng)[0, 0].tolist() == [30, 30, 30]
    dark = expose(grey(), NEUTRAL | {"sensor.vignette": 0.5}, rng)
    assert dark[0, 0, 0] == 50 and dark[48, 48, 0] == 100
    shaded = expose(grey(), NEUTRAL | {"sensor.shade": 0.5}, rng)
    assert shaded[:, 0].max() == 50 and shaded[:, -1].min() == 150
    noisy = expose(grey(), NEUTRAL | {"sensor.noise": 0.04}, rng).astype(float)
    assert noisy.std() == pytest.approx(0.04 * 255, rel=0.05) and noisy.mean() == pytest.approx(100, abs=0.5)
    edge = np.zeros((96, 96, 3), np.uint8)
    edge[:, 48:] = 200
    steep = expose(edge, NEUTRAL | {"sensor.blur": 2.0}, rng)[48, :, 0].astype(int)
    assert (np.diff(steep) >= 0).all() and 30 < steep[47] < 100 < steep[48] < 170


def test_without_a_backend_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gl.backend.cache_clear()
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "BACKENDS", ("no_such_backend",))
    with pytest.raises(RenderError, match=r"libegl1 libgl1-mesa-dri .*libosmesa6"):
        gl.backend()
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(RenderError, match="needs a display"):
        gl.backend()
    gl.backend.cache_clear()


def test_a_training_after_a_picture_does_not_crash() -> None:
    """Mesa before triton kills the process (a segmentation fault, hence one of its own)."""
    code = """
import torch
from perceptransfer.robot.worlds import Reach
world = Reach()
world.reset(seed=0)
weight = torch.nn.Parameter(torch.ones(2))
optimiser = torch.optim.AdamW([weight])
weight.sum().backward()
optimiser.step()
world.step([0.0, 0.0])
world.close()
print("alive")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0 and "alive" in run.stdout, run.stderr[-500:]


def test_pixel_convention() -> None:
    """A point on the optical axis falls between the four middle pixels of an even picture."""
    from perceptransfer.robot.worlds.camera import project

    world = Reach(size=0)
    world.reset(seed=0)
    ahead = world.data.cam_xpos[0] - world.data.cam_xmat[0].reshape(3, 3)[:, 2]
    assert project(world.model, world.data, ahead[None], 96)[0] == pytest.approx([47.5, 47.5])
    assert mujoco.mj_versionString() >= "4"
