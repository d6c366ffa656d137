"""Projection, rays and crops agree with each other and with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.render.camera import (
    camera_from_object,
    camera_from_world,
    crop,
    crop_around,
    look_at,
    matrix3,
    project,
    rays,
)
from perceptransfer.render.plan import Camera

CAMERA = Camera(
    matrix3([[80, 0, 20], [0, 90, 15], [0, 0, 1]]), 40, 30, look_at((0.5, -0.6, 0.7), (0.1, 0.0, 0.05), roll=0.3)
)
POINTS = np.random.default_rng(0).normal(scale=0.1, size=(20, 3))


def test_projection_is_that_of_opencv() -> None:
    pose = camera_from_world(CAMERA)
    expected, _ = cv2.projectPoints(POINTS, cv2.Rodrigues(pose[:3, :3])[0], pose[:3, 3], np.asarray(CAMERA.K), None)
    np.testing.assert_allclose(project(CAMERA, POINTS)[:, :2], expected[:, 0], atol=1e-9)


def test_a_ray_of_a_pixel_projects_to_it_and_its_parameter_is_depth() -> None:
    v, u = (it.ravel().astype(float) for it in np.mgrid[:30, :40])
    origin, directions = rays(CAMERA, u, v)
    found = project(CAMERA, origin + 0.7 * directions)
    np.testing.assert_allclose(found, np.stack([u, v, np.full(u.shape, 0.7)], -1), atol=1e-9)


def test_a_camera_looks_at_its_target_with_the_horizon_level() -> None:
    place = np.asarray(look_at((1, 2, 3), (0, 0, 0)))
    np.testing.assert_allclose(place[:3, :3] @ place[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(place[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(place[:3, 2], -np.array([1, 2, 3]) / np.sqrt(14))
    assert place[2, 0] == pytest.approx(0) and place[2, 1] < 0  # right is level, down points down
    straight_down = np.asarray(look_at((0, 0, 1), (0, 0, 0)))
    assert np.isfinite(straight_down).all()


def test_points_behind_the_camera_have_no_pixel() -> None:
    place = np.asarray(CAMERA.world_from_camera)
    behind = place[:3, 3] - place[:3, 2]
    u, v, z = project(CAMERA, behind)[0]
    assert np.isnan([u, v]).all() and z == pytest.approx(-1)


@given(st.floats(-5, 20), st.floats(-5, 20), st.floats(3, 30), st.floats(3, 30), st.integers(8, 64), st.integers(8, 64))
def test_a_crop_is_what_resizing_the_picture_would_be(
    left: float, top: float, width: float, height: float, w: int, h: int
) -> None:
    small = crop(CAMERA, left, top, width, height, (w, h))
    whole, cut = project(CAMERA, POINTS), project(small, POINTS)
    # Edges of the rectangle, half a pixel outside the outermost centres, become edges of the crop.
    expected = np.stack([(whole[:, 0] - left + 0.5) / width * w - 0.5, (whole[:, 1] - top + 0.5) / height * h - 0.5], 1)
    np.testing.assert_allclose(cut[:, :2], expected, atol=1e-6)
    np.testing.assert_allclose(cut[:, 2], whole[:, 2])


def test_a_fitted_crop_holds_the_points_with_the_margin() -> None:
    small = crop_around(CAMERA, POINTS, 1.25, (0.0, 0.0), (64, 32))
    pixels = project(small, POINTS)[:, :2]
    low, high = pixels.min(0), pixels.max(0)
    np.testing.assert_allclose((low + high) / 2, [31.5, 15.5])
    assert max((high - low) / [64, 32]) == pytest.approx(1 / 1.25)
    moved = project(crop_around(CAMERA, POINTS, 1.25, (0.1, -0.2), (64, 32)), POINTS)[:, :2]
    np.testing.assert_allclose(moved, pixels - [6.4, -6.4])


def test_the_pose_of_an_object() -> None:
    pose = np.asarray(look_at((0, 0, 0.3), (0.2, 0.1, 0)))
    local = camera_from_object(CAMERA, pose) @ [0.1, 0.2, 0.3, 1]
    np.testing.assert_allclose(local, camera_from_world(CAMERA) @ (pose @ [0.1, 0.2, 0.3, 1]))
