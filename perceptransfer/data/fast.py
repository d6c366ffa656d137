"""Augmentation of whole batches in NumPy and OpenCV: the same operations as `transforms`, several times faster.

Images travel as float32 ``[n, H, W, 3]`` in 0..1. All random numbers come from one generator, a fixed number of them
per image and step, so that a result depends on nothing but images, ranges and seed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.data.recipes import WEAK, Ranges
from perceptransfer.data.record import Pixels
from perceptransfer.data.view import View

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
PLAIN = frozenset({"rotate_degrees", "shear_degrees", "log_scale", "shift_share", "exposure_stops", "log_gamma"})
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Draws:
    """Uniform draws from named ranges, one per image; 0 where the step's chance says no or the range is missing."""

    def __init__(self, ranges: Ranges, chance: Mapping[str, float], n: int, rng: np.random.Generator) -> None:
        self.n, self.rng, self.ranges, self.chance = n, rng, ranges, chance

    def __call__(self, name: str, columns: int = 1) -> Floats:
        """``[n]``, or ``[n, columns]`` for several independent draws."""
        low, high = self.ranges.get(name, (0.0, 0.0))
        values = self.rng.uniform(low, high, (self.n, columns))
        values *= self.rng.random((self.n, 1)) < self.chance.get(name, 1.0)
        return values if columns > 1 else values[:, 0]


def augment(
    images: Pixels, ranges: Ranges, chance: Mapping[str, float], flip: bool, rng: np.random.Generator
) -> tuple[Images, View]:
    """Apply every step that ``ranges`` names, in the order of a camera, to ``uint8 [n, H, W, 3]``.

    The view tells what happened to the places of things.
    """
    draw = Draws(ranges, chance, len(images), rng)
    view = _view(draw, (images.shape[1], images.shape[2]), flip)
    moved = view.pixels(images)
    gain = np.exp2(draw("exposure_stops"))[:, None] * (1.0 + draw("white_balance", 3))
    curve = np.exp(draw("log_gamma"))[:, None]
    light = np.maximum(gain, 0)[:, :, None] * np.arange(256) / 255
    if not ranges.keys() - PLAIN:  # light and tone are then one table of 256 entries per image
        return _look_up(moved, light[:, 0].clip(0, 1) ** curve), view
    values = _look_up(moved, light)
    _saturate(values, draw)
    _blur(values, draw)
    _noise(values, draw)
    _tone(values, curve)
    _jpeg(values, draw)
    return values, view


def small_views(n: int, size: tuple[int, int], rng: np.random.Generator) -> View:
    """A slightly moved view of each of n images of ``size`` (H, W), as the weak augmentation draws them."""
    return _view(Draws(WEAK, {}, n, rng), size, flip=False)


def _look_up(images: Pixels, table: Floats) -> Images:
    """Replace every value by its entry in ``[n, 256]``, or ``[n, 3, 256]`` for a table per channel."""
    values = np.empty(images.shape, np.float32)
    entries = np.ascontiguousarray(table if table.ndim == 2 else table.transpose(0, 2, 1), dtype=np.float32)
    for image, row, out in zip(images, entries, values, strict=True):
        cv2.LUT(image, row.reshape(1, 256, -1) if row.ndim == 2 else row.reshape(1, 256), out)
    return values


def _view(draw: Draws, size: tuple[int, int], flip: bool) -> View:
    n, (height, width) = draw.n, size
    angle, shear = np.deg2rad(draw("rotate_degrees")), np.tan(np.deg2rad(draw("shear_degrees")))
    scale, shift = np.exp(draw("log_scale")), draw("shift_share", 2) * (width, height)
    mirror = np.where(draw.rng.random(n) < 0.5, -1.0, 1.0) if flip else np.ones(n)
    bend = draw("lens_distortion") if "lens_distortion" in draw.ranges else None
    # Output to input, about the centre: rotation · shear · mirror / scale.
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.empty((n, 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * cos, cos * shear - sin
    matrix[:, 1, 0], matrix[:, 1, 1] = mirror * sin, sin * shear + cos
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix[:, :, 2] = centre - np.einsum("nij,nj->ni", matrix[:, :, :2], centre + shift)
    return View(matrix, bend, mirror < 0, size)


def _saturate(values: Images, draw: Draws) -> None:
    factor = np.exp(draw("log_saturation"))
    for image, strength in zip(values, factor, strict=True):
        # grey + (colour - grey) · strength, as one 3×3 matrix on the channels
        matrix = strength * np.eye(3) + (1 - strength) * np.tile(LUMA, (3, 1))
        cv2.transform(image, matrix.astype(np.float32), image)


def _blur(values: Images, draw: Draws) -> None:
    side = min(values.shape[1:3])
    length, sigma = draw("motion_blur_share") * side, draw("defocus_share") * side
    # In quarters of a pixel and 64 directions, because making a kernel takes five times as long as using it.
    length, angle = np.rint(length * 4) / 4, draw.rng.integers(0, 64, draw.n) * (np.pi / 64)
    for i in np.flatnonzero(length > 0.5):
        kernel = motion_kernel(float(length[i]), float(angle[i]))
        values[i] = cv2.filter2D(values[i], -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    for i in np.flatnonzero(sigma > 0.2):
        cv2.GaussianBlur(values[i], (0, 0), sigma[i], values[i], borderType=cv2.BORDER_REFLECT_101)


@functools.lru_cache(8192)
def motion_kernel(length: float, angle: float) -> Images:
    """Weights of a straight path of ``length`` pixels at ``angle`` (radians), odd-sized, summing to 1."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    along = np.linspace(-length / 2, length / 2, 4 * half + 1)
    x, y = half + along * np.cos(angle), half + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx in (0, 1):  # every point of the path is shared among its four pixels
        for dy in (0, 1):
            weight = (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
            np.add.at(kernel, (np.minimum(top + dy, 2 * half), np.minimum(left + dx, 2 * half)), weight)
    kernel /= kernel.sum()
    return kernel


def _noise(values: Images, draw: Draws) -> None:
    shot, read = draw("shot_noise").astype(np.float32), draw("read_noise").astype(np.float32)
    noisy = np.flatnonzero(shot)  # one chance for both: a camera has both, or the image is clean
    signal = np.clip(values[noisy], 0, 1)
    deviation = np.sqrt(shot[noisy, None, None, None] ** 2 * signal + read[noisy, None, None, None] ** 2)
    values[noisy] += deviation * draw.rng.standard_normal(signal.shape, dtype=np.float32)


def _tone(values: Images, curve: Floats) -> None:
    """Raise to a power by a table of 12 bits, the depth of a common sensor: powers of all pixels cost five times it."""
    table = ((np.arange(4096) / 4095) ** curve).astype(np.float32)
    levels = np.rint(np.clip(values, 0, 1) * np.float32(4095)).astype(np.int32)
    for row, level, out in zip(table, levels, values, strict=True):
        np.take(row, level, out=out, mode="clip")


def _jpeg(values: Images, draw: Draws) -> None:
    loss = draw("jpeg_quality_loss")
    for i in np.flatnonzero(loss):
        quality = [cv2.IMWRITE_JPEG_QUALITY, max(1, round(100 - float(loss[i])))]
        coded = cv2.imencode(".jpg", np.rint(values[i, :, :, ::-1] * 255).astype(np.uint8), quality)[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        values[i] = np.asarray(decoded, dtype=np.float32)[:, :, ::-1] / np.float32(255.0)
