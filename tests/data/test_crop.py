"""Boxes cut out of pictures: pixels, maps, points and cameras agree about where things are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.data.crop import around, crop_camera, crop_map, crop_pixels, crop_points, hide_outside, shown, whole
from perceptransfer.data.images import resize

OF = (60, 80)
BOXES = st.tuples(st.floats(-20, 30), st.floats(-20, 20), st.floats(35, 70), st.floats(35, 60))


def blob(x: float, y: float, radius: float = 5.0) -> np.ndarray:
    rows, columns = np.indices(OF)
    return np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)


def centre(weights: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@given(BOXES, st.floats(0.3, 0.7), st.floats(0.3, 0.7), st.sampled_from([(48, 48), (32, 40), (96, 96)]))
def test_pixels_maps_and_points_move_together(
    at: tuple[float, float, float, float], x: float, y: float, size: tuple[int, int]
) -> None:
    left, top, wide, high = at
    box = (left, top, left + wide, top + high)
    place = np.clip([left + x * wide, top + y * high], 8, [OF[1] - 9, OF[0] - 9])
    point = crop_points(np.array([[*place, 2]]), box, size)[0]
    inside = (point[:2] > 0.25 * np.array(size[::-1])) & (point[:2] < 0.75 * np.array(size[::-1]))
    if not inside.all():
        return
    light = blob(*place)
    picture = crop_pixels(np.repeat((255 * light).astype(np.uint8)[..., None], 3, -1), box, size)
    mask = crop_map((light > 0.5).astype(np.uint8), box, size, 255)
    cell = max(size[0] / high, size[1] / wide, 1)
    # Averaging over areas takes whole pixels: near a factor of one it shifts an edge by up to a third of a pixel.
    assert np.abs(centre(picture[..., 0].astype(float)) - point[:2]).max() < 0.4 * cell
    assert np.abs(centre((mask == 1).astype(float)) - point[:2]).max() < 0.5 * cell


@given(BOXES, st.sampled_from([(48, 48), (32, 40)]))
def test_the_crops_camera_projects_to_the_crops_pixels(
    at: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    box = (at[0], at[1], at[0] + at[2], at[1] + at[3])
    camera = np.array([[500.0, 0.3, 41], [0, 510, 29], [0, 0, 1]])
    points = np.random.default_rng(0).uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 2], (20, 3))

    def project(matrix: np.ndarray) -> np.ndarray:
        flat = points @ matrix.T
        return flat[:, :2] / flat[:, 2:]

    labelled = np.concatenate([project(camera), np.full((20, 1), 2)], 1)
    expected = crop_points(labelled, box, size)
    np.testing.assert_allclose(project(crop_camera(camera, box, size)), expected[:, :2], rtol=1e-5, atol=1e-3)
    assert (expected[:, 2] == 2).all()


def test_a_whole_picture_is_resized_as_ever() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*OF, 3), dtype=np.uint8)
    for size in ((30, 40), (24, 100), (60, 80)):
        np.testing.assert_array_equal(crop_pixels(image, whole(OF), size), resize(image, size))
    values = np.arange(60 * 80).reshape(OF).astype(np.float32)
    np.testing.assert_array_equal(crop_map(values, whole(OF), OF, 0), values)
    np.testing.assert_array_equal(crop_map(values, whole(OF), (20, 40), 0), values[1::3, 1::2])


def test_beyond_the_picture_the_border_is_repeated_and_maps_say_so() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 0], image[3] = 50, 200
    cut = crop_pixels(image, (-2, 2, 2, 6), (4, 4))[..., 0]
    np.testing.assert_array_equal(cut, [[50, 50, 50, 0], [200] * 4, [200] * 4, [200] * 4])
    found = crop_map(np.ones((4, 4), np.uint8), (-2, 2, 2, 6), (4, 4), 255)
    np.testing.assert_array_equal(found, [[255, 255, 1, 1], [255, 255, 1, 1], [255] * 4, [255] * 4])
    assert found.dtype == np.uint8
    far = crop_map(np.ones((4, 4), np.float32), (100, 100, 104, 104), (2, 2), 0)
    assert not far.any() and far.dtype == np.float32


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(30, 30), (20, 64), (64, 24)])
def test_every_way_to_resize_is_a_box(mode: str, size: tuple[int, int]) -> None:
    """A picture of its own columns and rows says which box was shown."""
    of = (60, 80)
    ramp = np.stack([*np.indices(of), np.zeros(of)], -1).astype(np.uint8)
    picture = resize(ramp, size, mode, (0, 0, 255))  # type: ignore[arg-type]
    box = shown(mode, of, size)  # type: ignore[arg-type]
    filled = picture[..., 2] > 127
    for axis in (0, 1):
        found = crop_map(ramp[..., axis].astype(np.int16), box, size, -1)
        assert ((found < 0) == filled).mean() > 0.97
        kept = ~filled & (found >= 0)
        assert np.abs(picture[..., axis][kept].astype(float) - found[kept]).max() <= 2.5


def test_a_box_about_an_object_has_the_images_shape() -> None:
    left, top, right, bottom = around(10, 20, 30, 10, 1.2, (48, 96))
    assert ((left + right) / 2, (top + bottom) / 2) == (25, 25)
    assert right - left == pytest.approx(36) and bottom - top == pytest.approx(18)
    left, top, right, bottom = around(10, 20, 10, 30, 2.0, (64, 64))
    assert (right - left, bottom - top) == (pytest.approx(60), pytest.approx(60))


def test_points_out_of_the_picture_are_not_labelled() -> None:
    points = np.array([[-0.6, 3, 2], [-0.4, 3, 2], [7.4, 5.4, 1], [7.6, 3, 2], [2, 5.6, 1], [2, 2, 0]], np.float32)
    assert hide_outside(points, (6, 8))[:, 2].tolist() == [0, 2, 1, 0, 0, 0]
    np.testing.assert_array_equal(hide_outside(points, (6, 8))[:, :2], points[:, :2])
