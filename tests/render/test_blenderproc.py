"""Real pictures from Blender against closed forms, and the same bytes from every process."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import DataError, PerceptransferError
from perceptransfer.render import blender_env
from perceptransfer.render.blender_env import VARIABLE
from perceptransfer.render.blender_process import WorkerLostError
from perceptransfer.render.blenderproc import BlenderProc
from perceptransfer.render.camera import crop, look_at, matrix4, project, transform
from perceptransfer.render.executor import Rendered
from perceptransfer.render.plan import (
    IDENTITY,
    Body,
    Box,
    Camera,
    Capsule,
    Cylinder,
    Fit,
    Light,
    Material,
    Mesh,
    Plane,
    RiggedHand,
    ScenePlan,
    Sphere,
    Texture,
    View,
)  # fmt: skip
from perceptransfer.render.ply import read_ply
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.rotations import about

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python() -> str:
    """A Python with Blender; without one these tests are skipped: making it takes 1.5 GB."""
    named = os.environ.get(VARIABLE)
    if named is None and not (blender_env.cache_folder() / "complete").exists():
        pytest.skip(f"no Blender: {VARIABLE} is not set, and no environment has been made yet")
    return named or str(blender_env.cache_folder() / "bin" / "python")


def placed(x: float, y: float, z: float, axis: str = "z", degrees: float = 0.0) -> tuple[tuple[float, ...], ...]:
    pose = np.eye(4)
    pose[:3, :3] = about(axis, degrees)
    pose[:3, 3] = x, y, z
    return matrix4(pose)


WIDE = Camera(
    ((300.0, 0, 165.26), (0, 303.0, 112.05), (0, 0, 1)), 320, 240, look_at((0.3, -0.6, 0.5), (0, 0, 0.03), 0.2)
)
LIGHTS = (Light("area", 10.0, position=(0.4, -0.3, 1.0), direction=(-0.4, 0.3, -1.0), size=0.3), Light("world", 0.4))
CHECKED = Texture("checker", 0.05, (0.9, 0.8, 0.1), 3)


def primitives() -> ScenePlan:
    bodies = (
        Body("table", 1, Plane((0.8, 0.6)), placed(0, 0, 0, "z", 20), Material((0.4, 0.4, 0.4))),
        Body("ball", 2, Sphere(0.05), placed(-0.1, 0, 0.05), Material((0.8, 0.1, 0.1)), "ball"),
        Body(
            "box", 3, Box((0.06, 0.1, 0.08)), placed(0.05, 0.06, 0.06, "x", 35), Material((0.1, 0.2, 0.8)), "box", 1.2
        ),
        Body("can", 4, Cylinder(0.03, 0.1), placed(0.08, -0.1, 0.05, "y", 50), Material((0.1, 0.7, 0.1)), "can"),
        Body("pill", 5, Capsule((0, 0, 0), (0.05, 0.03, 0.06), 0.02), placed(-0.08, -0.12, 0.03), Material(), "pill"),
    )
    part = crop(WIDE, 90.0, 60.0, 110.0, 90.0, (96, 80))
    return ScenePlan(0, 0, bodies, (View(0, "all", WIDE, seed=1), View(1, "crop", part, seed=2)), LIGHTS)


def draw(python: str, *plans: ScenePlan, samples: int = 2) -> list[Rendered]:
    one = BlenderProc(python, samples=samples)
    try:
        return [seen for plan in plans for seen in one.render(plan)]
    finally:
        one.close()


def test_labels_are_those_of_the_closed_forms(python: str) -> None:
    plan = primitives()
    drawn, exact = draw(python, plan), list(Raycaster(shadow_rays=0).render(plan))
    for seen, wanted in zip(drawn, exact, strict=True):
        assert (seen.instances != wanted.instances).mean() < 0.004  # spheres and cylinders are polyhedra
        both = (seen.instances == wanted.instances) & (wanted.depth > 0)
        error = np.abs(seen.depth - wanted.depth)[both]
        assert np.median(error) < 1e-5 and error.max() < 0.006 and np.quantile(error, 0.99) < 1e-3
        flat = both & np.isin(wanted.instances, (1, 3))
        assert np.abs(seen.depth - wanted.depth)[flat].max() < 1e-5
        cosine = (seen.normals * wanted.normals).sum(-1)
        assert cosine[flat].min() > 0.9999 and np.quantile(cosine[both], 0.01) > 0.99
        for number in (2, 3, 4, 5):
            assert seen.visible[number] == pytest.approx(wanted.visible[number], abs=0.03)
        assert not seen.normals[seen.instances == 0].any() and not seen.depth[seen.instances == 0].any()


def test_colours_agree_with_the_closed_forms_where_light_is_plain(python: str) -> None:
    lit = replace(primitives(), lights=(Light("sun", 2.0, direction=(0.0, 0.0, -1.0)),))
    matte = replace(
        lit, bodies=tuple(replace(b, material=replace(b.material, specular=0.0, roughness=1.0)) for b in lit.bodies)
    )
    (seen, *_), (wanted, *_) = draw(python, matte, samples=16), list(Raycaster(shadow_rays=1).render(matte))
    table = (wanted.instances == 1) & (seen.instances == 1)
    ratio = seen.radiance[table].mean(-1) / wanted.radiance[table].mean(-1).clip(1e-6)
    assert np.median(ratio) == pytest.approx(1, abs=0.05)


def test_the_same_bytes_alone_after_other_scenes_and_in_a_fresh_process(python: str) -> None:
    plan = primitives()
    textured = replace(
        plan,
        bodies=(replace(plan.bodies[0], material=Material((0.2, 0.2, 0.2), texture=CHECKED)), *plan.bodies[1:4]),
        lights=(*LIGHTS, Light("point", 2.0, (1.0, 0.5, 0.5), (0.0, 0.0, 0.5))),
    )
    other = replace(plan, lights=LIGHTS[1:], bodies=(*plan.bodies[2:], replace(textured.bodies[0], instance=9)))
    after = draw(python, other, plan.only(0), other, textured)[-2:]
    alone = draw(python, textured.only(1))
    for a, b in zip(alone, after[1:], strict=True):
        for name in ("radiance", "instances", "depth", "normals"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert a.visible == b.visible


def test_a_killed_blender_is_replaced_and_draws_the_same(python: str) -> None:
    plan = primitives().only(1)
    one = BlenderProc(python, samples=2)
    first = list(one.render(plan))
    assert one.process is not None
    one.process.process.kill()
    with pytest.raises(WorkerLostError):
        one.process.ask(view={})
    again = list(one.render(plan))
    one.close()
    assert np.abs(first[0].radiance - again[0].radiance).max() < 1e-5
    assert (first[0].instances == again[0].instances).all()


def grown(mask: np.ndarray) -> np.ndarray:
    """With every neighbour, diagonal ones too."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.logical_or.reduce([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])


def test_meshes_lie_where_their_projected_vertices_do(python: str, shared_data: Path) -> None:
    path = shared_data / "lmo_real" / "models" / "obj_000008.ply"
    if not path.is_file():
        pytest.skip("no LM-O meshes beside the checkout")
    pose = placed(0.02, 0.01, 0.1, "y", 25)
    body = Body("driller", 300, Mesh(str(path), 0.001), pose, Material(vertex_colours=True), "driller")
    (seen,) = draw(python, ScenePlan(0, 0, (body,), (View(0, "driller", WIDE),), LIGHTS))
    points = project(WIDE, transform(pose, read_ply(path).vertices * 0.001))
    mask = seen.instances == 300
    columns, rows = np.rint(points[:, 0]).astype(int), np.rint(points[:, 1]).astype(int)
    splat = np.zeros_like(mask)
    splat[rows, columns] = True
    assert not (splat & ~grown(mask)).any()  # a vertex on the rim may round to the pixel outside
    assert (mask & ~grown(grown(splat))).sum() < 0.01 * mask.sum()
    assert seen.visible[300] == pytest.approx(1, abs=0.01)
    nearest = np.full(mask.shape, np.inf)
    np.minimum.at(nearest, (rows, columns), points[:, 2])
    both = mask & splat
    error = nearest[both] - seen.depth[both]
    assert np.abs(np.median(error)) < 0.002 and (error > -0.004).mean() > 0.98  # vertices lie on or behind what is seen


def test_the_hand_is_posed_and_its_picture_cut_around_its_joints(python: str, shared_data: Path) -> None:
    model = shared_data / "hand_model" / "hand.blend"
    if not model.is_file():
        pytest.skip("no rigged hand beside the checkout")
    camera = Camera(((600.0, 0, 63.5), (0, 600.0, 63.5), (0, 0, 1)), 128, 128, look_at((0, 0.6, 0.1), (0, 0, 0.07)))
    fist = tuple((f"finger{i}-1.R.x", 80.0) for i in (2, 3, 4, 5))

    def hand(mirrored: bool, joints: tuple[tuple[str, float], ...]) -> ScenePlan:
        body = Body("hand", 1, RiggedHand(str(model), mirrored), IDENTITY, Material(), "hand", joints=joints)
        return ScenePlan(0, 0, (body,), (View(0, "hand", camera, target=1, fit=Fit(1.35)),), LIGHTS)

    right, left, closed = draw(python, hand(False, ()), hand(True, ()), hand(False, fist))
    points = right.keypoints[1]
    assert points.shape == (21, 3) and np.allclose(points[0], 0, atol=1e-4)
    assert np.allclose(left.keypoints[1], points * [-1, 1, 1])
    tips = [8, 12, 16, 20]
    reach = [np.linalg.norm(seen.keypoints[1][tips], axis=1).mean() for seen in (right, closed)]
    assert reach[1] < 0.75 * reach[0]
    assert right.camera is not None
    pixels = project(right.camera, points)
    span = np.ptp(pixels[:, :2], axis=0).max()
    assert span == pytest.approx(128 / 1.35, rel=0.01)
    seen_depth = right.depth[np.rint(pixels[:, 1]).astype(int), np.rint(pixels[:, 0]).astype(int)]
    inside = right.instances[np.rint(pixels[:, 1]).astype(int), np.rint(pixels[:, 0]).astype(int)] == 1
    assert inside.sum() >= 20  # joints lie in the flesh, a tip may lie on its rim
    assert (np.abs(seen_depth - pixels[:, 2])[inside] < 0.03).all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": Mesh("/nowhere/a.ply")}, "a.ply"),
        ({"shape": RiggedHand("/nowhere/h.blend")}, "h.blend"),
    ],
)
def test_what_blender_cannot_load_ends_the_run(python: str, change: dict[str, Mesh], complaint: str) -> None:
    plan = primitives().only(1)
    bad = replace(plan, bodies=(replace(plan.bodies[1], **change),))
    with pytest.raises(DataError, match=complaint) as caught:
        draw(python, bad)
    assert isinstance(caught.value, PerceptransferError)
