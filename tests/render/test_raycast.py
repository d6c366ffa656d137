"""The ray-caster's labels agree with one another and with projection by hand; its light with closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import ConfigError, RenderError
from perceptransfer.render.camera import camera_from_object, look_at, matrix4, project, rays
from perceptransfer.render.executor import Rendered
from perceptransfer.render.labels import class_mask, row_of
from perceptransfer.render.plan import (
    Background,
    Body,
    Box,
    Camera,
    Light,
    Material,
    Matrix4,
    Mesh,
    Plane,
    ScenePlan,
    Sphere,
    Texture,
    View,
)
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.spec import read_scene
from perceptransfer.render.tracing import cast, parts_of
from tests.scenes import small_table

ROOT = Path(__file__).parents[2]
EYE = (0.0, 0.0, 1.0)
DOWN = Camera(((100.0, 0.0, 31.5), (0.0, 100.0, 31.5), (0.0, 0.0, 1.0)), 64, 64, look_at(EYE, (0, 0, 0)))
WHITE = Material((1.0, 1.0, 1.0), roughness=1.0, specular=0.0)


def at(x: float, y: float, z: float) -> Matrix4:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return matrix4(pose)


def scene(*bodies: Body, lights: tuple[Light, ...] = (), view: View | None = None) -> ScenePlan:
    chosen = view or View(0, "x", DOWN, target=1)
    return ScenePlan(0, 0, bodies, (chosen,), lights, Background((0.0, 0.0, 0.0)))


def draw(plan: ScenePlan, **options: object) -> Rendered:
    (seen,) = Raycaster(**options).render(plan)  # type: ignore[arg-type]
    return seen


TABLE = Body("table", 0, Plane((5.0, 5.0)), at(0, 0, 0), WHITE)
BALL = Body("ball", 1, Sphere(0.1), at(0.1, 0, 0.1), WHITE, "ball", keypoints=((0.0, 0.0, 0.1), (0.0, 0.0, -0.1)))


def test_depth_and_normals_of_a_sphere_over_a_plane() -> None:
    seen = draw(scene(TABLE, BALL))
    u, v, z = project(DOWN, [(0.1, 0.0, 0.2)])[0]  # the top
    row, column = round(v), round(u)
    assert seen.instances[row, column] == 1
    assert seen.depth[row, column] == pytest.approx(z, abs=2e-3)
    assert seen.depth[0, 0] == pytest.approx(1.0, abs=1e-6)  # depth is along the axis: a plane across it is flat
    np.testing.assert_allclose(seen.normals[0, 0], [0, 0, -1], atol=1e-6)  # towards the camera
    # Every pixel of the ball: origin + depth * ray lies on the sphere, and the normal points from its middle.
    rows, columns = np.nonzero(seen.instances == 1)
    start, ray = rays(DOWN, columns.astype(float), rows.astype(float))
    points = start + seen.depth[rows, columns][:, None] * ray
    np.testing.assert_allclose(np.linalg.norm(points - (0.1, 0, 0.1), axis=1), 0.1, atol=1e-5)
    rotation = np.asarray(DOWN.world_from_camera)[:3, :3]
    np.testing.assert_allclose(seen.normals[rows, columns] @ rotation.T, (points - (0.1, 0, 0.1)) / 0.1, atol=1e-4)


def test_a_plane_is_seen_from_below_and_a_ball_from_within() -> None:
    below = replace(DOWN, world_from_camera=look_at((0.3, 0.1, -1.0), (0.0, 0.0, 0.0)))
    inside = replace(DOWN, world_from_camera=look_at((0.1, 0.0, 0.12), (0.3, 0.0, 0.1)))
    for camera in (below, inside):
        seen = draw(scene(TABLE, BALL, view=View(0, "x", camera, target=1)))
        v, u = np.nonzero(seen.depth)
        ray = np.stack([u, v, np.ones_like(u)], 1) @ np.linalg.inv(np.asarray(camera.K)).T
        assert len(v) == 64 * 64 and ((seen.normals[v, u] * ray).sum(1) < 0).all()


def test_no_ray_is_left_out_near_the_border_of_a_body() -> None:
    rng = np.random.default_rng(1)
    v, u = (it.ravel().astype(float) for it in np.mgrid[:64, :64])
    for _ in range(30):
        x, y, z, radius = *rng.uniform(-0.5, 0.5, 2), rng.uniform(-0.5, 0.95), rng.uniform(0.02, 0.5)
        hits, met = cast(DOWN, parts_of((replace(BALL, shape=Sphere(radius), world_from_object=at(x, y, z)),)), u, v)
        origin, ray = rays(DOWN, u, v)
        # Closest approach of the ray's forward half to the middle, by calculus.
        to = np.array([x, y, z]) - origin
        along = np.maximum((ray @ to) / (ray**2).sum(1), 0)
        gap = np.linalg.norm(to - along[:, None] * ray, axis=1)
        expected = (gap < radius).sum()
        assert len(hits.row) == met[0] and abs(expected - met[0]) <= 1


def test_a_plane_lit_by_the_sun_and_by_the_world() -> None:
    sun = Light("sun", np.pi, direction=(0.0, 0.0, -1.0))
    np.testing.assert_allclose(draw(scene(TABLE, lights=(sun,))).radiance, 1.0, atol=1e-5)
    slanted = replace(sun, direction=(0.0, float(np.sin(1.0)), float(-np.cos(1.0))))
    np.testing.assert_allclose(draw(scene(TABLE, lights=(slanted,))).radiance, np.cos(1.0), atol=1e-5)
    np.testing.assert_allclose(draw(scene(TABLE, lights=(Light("world", 0.7),))).radiance, 0.7, atol=1e-5)


def test_a_point_light_falls_off_with_the_square_of_the_distance() -> None:
    lamp = Light("point", 40.0, position=(0.2, 0.1, 2.0))
    seen = draw(scene(TABLE, lights=(lamp,)))
    v, u = (it.ravel().astype(float) for it in np.mgrid[:64, :64])
    start, ray = rays(DOWN, u, v)
    to = np.array(lamp.position) - (start + ray)
    expected = 40 / (4 * np.pi) * to[:, 2] / np.linalg.norm(to, axis=1) ** 3 / np.pi
    np.testing.assert_allclose(seen.radiance[..., 1].ravel(), expected, rtol=1e-4)


def test_a_small_area_light_gives_what_its_energy_says() -> None:
    lamp = Light("area", 40.0, position=(0.0, 0.0, 2.0), size=0.01)
    seen = draw(scene(TABLE, lights=(lamp,)))
    assert seen.radiance[32, 32, 0] == pytest.approx(40 / np.pi / 4 / np.pi, rel=1e-3)


def test_the_shadow_lies_where_the_ball_hides_the_lamp() -> None:
    lamp = Light("point", 40.0, position=(1.0, 0.0, 1.0))
    plan = scene(TABLE, BALL, lights=(lamp,))
    bright, dark = (draw(plan, shadow_rays=n).radiance[..., 0] for n in (0, 1))
    v, u = np.mgrid[:64, :64]
    start, ray = rays(DOWN, u.ravel().astype(float), v.ravel().astype(float))
    floor = start + ray
    # A floor point is dark if its segment to the lamp passes the ball's middle within the radius.
    to = np.array(lamp.position) - floor
    near = np.clip(((0.1, 0, 0.1) - floor) * to, None, None).sum(1) / (to**2).sum(1)
    gap = np.linalg.norm(floor + near[:, None] * to - (0.1, 0, 0.1), axis=1).reshape(64, 64)
    on_floor = draw(plan).instances == 0
    core, free = on_floor & (gap < 0.09), on_floor & (gap > 0.11)
    assert core.sum() > 20 and dark[core].max() == 0
    np.testing.assert_allclose(dark[free & (bright > 0)], bright[free & (bright > 0)], rtol=0.2)
    assert np.median(dark[free] / bright[free]) == pytest.approx(1)


def test_edges_are_smooth_and_labels_are_not() -> None:
    lamp = Light("world", 1.0)
    black = replace(BALL, material=replace(WHITE, colour=(0.0, 0.0, 0.0)))
    hard, soft = (draw(scene(TABLE, black, lights=(lamp,)), smooth=s) for s in (False, True))
    assert set(np.unique(hard.radiance).round(3)) == {0.0, 1.0}
    between = (soft.radiance[..., 0] > 0.1) & (soft.radiance[..., 0] < 0.9)
    assert between.sum() > 10
    np.testing.assert_array_equal(hard.instances, soft.instances)
    # Shares of black pixels add up to the disc's area better than whole pixels do.
    area = np.pi * (100 * 0.1 / np.sqrt(0.9**2 - 0.1**2)) ** 2
    assert (1 - soft.radiance[..., 0]).sum() == pytest.approx(area, rel=0.03)


def test_visible_share_counts_what_others_hide() -> None:
    roof = Body("roof", 2, Box((0.2, 1.0, 0.01)), at(0.2, 0, 0.5), WHITE, "roof")
    seen = draw(scene(TABLE, BALL, roof))
    alone = (draw(scene(TABLE, BALL)).instances == 1).sum()
    assert seen.visible[1] == pytest.approx((seen.instances == 1).sum() / alone)
    assert 0.05 < seen.visible[1] < 0.95 and seen.visible[2] == 1
    assert draw(scene(TABLE, BALL)).visible == {1: 1.0}


def test_keypoints_are_visible_from_the_right_side_and_their_depth_is_the_surface() -> None:
    plan = scene(TABLE, BALL)
    seen = draw(plan)
    row = row_of(plan, plan.views[0], seen)
    ((top, bottom),) = row["keypoints"]
    assert (top[2], bottom[2]) == (2, 1)
    u, v, z = project(DOWN, [(0.1, 0.0, 0.2)])[0]
    assert top[:2] == pytest.approx([u, v], abs=1e-3)
    assert seen.depth[round(v), round(u)] == pytest.approx(z, abs=2e-3)
    (it,) = row["objects"]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = it["R"], it["t"]
    np.testing.assert_allclose(pose, camera_from_object(DOWN, BALL.world_from_object))
    again = (np.asarray(it["keypoints_3d"]) @ pose[:3, :3].T + pose[:3, 3]) @ np.asarray(row["K"]).T
    np.testing.assert_allclose(again[:, :2] / again[:, 2:], [p[:2] for p in it["keypoints"]], atol=1e-3)


def test_keypoints_out_of_the_picture_or_behind_the_camera() -> None:
    far = replace(BALL, keypoints=((5.0, 0.0, 0.0), (0.0, 0.0, 5.0)), category="ball")
    row = row_of(scene(TABLE, far), scene(TABLE, far).views[0], draw(scene(TABLE, far)))
    ((outside, behind),) = row["keypoints"]
    assert outside[0] > 64 and outside[2] == 0
    assert behind == [0.0, 0.0, 0]


def test_symmetries_give_further_labellings() -> None:
    half_turn = matrix4(np.diag([-1.0, -1, 1, 1]))
    body = replace(BALL, keypoints=((0.05, 0.0, 0.08), (-0.05, 0.0, 0.08)), symmetries=(half_turn,))
    first, second = row_of(scene(TABLE, body), scene(TABLE, body).views[0], draw(scene(TABLE, body)))["keypoints"]
    assert first == second[::-1] and first != second


def test_scale_is_applied_to_shape_and_keypoints() -> None:
    big = replace(
        BALL, shape=Sphere(0.05), scale=2.0, keypoints=tuple((x / 2, y / 2, z / 2) for x, y, z in BALL.keypoints)
    )
    one, other = draw(scene(TABLE, BALL)), draw(scene(TABLE, big))
    np.testing.assert_allclose(one.depth, other.depth, atol=1e-6)
    rows = [row_of(scene(TABLE, it), View(0, "x", DOWN, target=1), one) for it in (BALL, big)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", ["primitives", "procedural_hand"])
def test_labels_of_a_whole_scene_agree(name: str) -> None:
    spec = read_scene(ROOT / "datasets" / name / "scene.yaml")
    for index in range(3):
        plan = spec.sample(0, index)
        for view, seen in zip(plan.views, Raycaster(smooth=False).render(plan), strict=True):
            mask = class_mask(plan, spec.mask_classes, seen.instances)
            row = row_of(plan, view, seen)
            for it in row["objects"]:
                inside = seen.instances == it["instance"]
                assert (mask[inside] == 1 + spec.mask_classes.index(it["class"])).all()
                x, y, w, h = it["box"]
                assert inside.sum() == inside[y : y + h, x : x + w].sum()
            assert ((seen.depth > 0) == (np.linalg.norm(seen.normals, axis=2) > 0.99)).all()
            assert ((seen.instances > 0) <= (seen.depth > 0)).all()
            # Normals look at the camera: against the ray through their pixel.
            v, u = np.nonzero(seen.depth)
            ray = np.stack([u, v, np.ones_like(u)], 1) @ np.linalg.inv(np.asarray(view.camera.K)).T
            assert ((seen.normals[v, u] * ray).sum(1) <= 1e-6).all()


def test_a_view_does_not_depend_on_the_others_nor_on_earlier_scenes() -> None:
    spec = small_table()
    plan, engine = spec.sample(0, 0), Raycaster()
    list(engine.render(spec.sample(0, 5)))
    together = list(engine.render(plan))
    for view, seen in zip(plan.views, together, strict=True):
        (alone,) = Raycaster().render(plan.only(view.sample))
        np.testing.assert_array_equal(alone.radiance, seen.radiance)
        np.testing.assert_array_equal(alone.depth, seen.depth)


def test_textures_lie_on_the_surface() -> None:
    board = Material((1.0, 1.0, 1.0), 1.0, 0.0, Texture("checker", 0.2, (0.0, 0.0, 0.0)))
    seen = draw(scene(replace(TABLE, material=board), lights=(Light("world", 1.0),)))
    for x, y in ((0.05, 0.05), (0.15, 0.05), (-0.05, 0.05), (-0.15, -0.05), (0.05, 0.15)):
        u, v, _ = project(DOWN, [(x, y, 0.0)])[0]
        same = (x % 0.2 > 0.1) == (y % 0.2 > 0.1)
        assert seen.radiance[round(v), round(u), 0] == pytest.approx(float(same), abs=1e-5)


def test_a_mesh_is_for_another_engine_and_options_are_checked() -> None:
    with pytest.raises(RenderError, match="draws no Mesh") as caught:
        draw(scene(replace(BALL, shape=Mesh("cat.ply"))))
    assert "blenderproc" in str(caught.value.remedy)
    with pytest.raises(ConfigError, match="shadow_rays"):
        Raycaster(shadow_rays=-1)


def test_what_a_renderer_returns_is_checked() -> None:
    plan = scene(TABLE, BALL)
    seen = draw(plan)
    with pytest.raises(RenderError, match="sample 0"):
        row_of(plan, plan.views[0], replace(seen, depth=seen.depth[1:]))
    broken = seen.depth.copy()
    broken[3, 3] = np.nan
    with pytest.raises(RenderError, match="not finite"):
        row_of(plan, plan.views[0], replace(seen, depth=broken))
