"""Cutting a box out of a picture and bringing it to size, with labels and camera; a whole picture is a box, too.

A box (left, top, right, bottom) is in pixels of the picture with pixel i covering i to i + 1, and may reach beyond it;
points and cameras have pixel centres at integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.data.files import Reader
from perceptransfer.data.images import ResizeMode, scale
from perceptransfer.data.record import Pixels
from perceptransfer.data.targets import Array

Box = tuple[float, float, float, float]
Size = tuple[int, int]


@dataclass(frozen=True)
class CropReader(Reader):
    """Reads boxes out of files; what stands behind the last ``#`` of a name tells apart the boxes of one file."""

    boxes: tuple[Box, ...] = ()

    def file(self, index: int) -> str:
        return self.names[index].rpartition("#")[0]

    def sized(self, image: Pixels, index: int) -> Pixels:
        return crop_pixels(image, self.boxes[index], self.size)

    def what(self, index: int) -> str:
        return repr(self.boxes[index])

    def take(self, indices: list[int]) -> CropReader:
        names = tuple(self.names[i] for i in indices)
        return replace(self, names=names, boxes=tuple(self.boxes[i] for i in indices))


def whole(of: Size) -> Box:
    """All of a picture of size (H, W)."""
    return 0.0, 0.0, float(of[1]), float(of[0])


def shown(mode: ResizeMode, of: Size, size: Size) -> Box:
    """The part of a picture that `images.resize` shows in this mode."""
    (h, w), (height, width) = of, size
    if mode == "squash":
        return whole(of)
    if mode == "crop":
        cut_h, cut_w = min(h, w * height / width), min(w, h * width / height)
        return (w - cut_w) / 2, (h - cut_h) / 2, (w + cut_w) / 2, (h + cut_h) / 2
    factor = min(height / h, width / w)
    inner = (max(1, round(h * factor)), max(1, round(w * factor)))
    left, top = -((width - inner[1]) // 2) * w / inner[1], -((height - inner[0]) // 2) * h / inner[0]
    return left, top, left + width * w / inner[1], top + height * h / inner[0]


def around(x: float, y: float, w: float, h: float, margin: float, size: Size) -> Box:
    """Box of the shape of ``size`` about the middle of a COCO box, ``margin`` times as large as it needs to be."""
    factor = margin * max(w / size[1], h / size[0]) / 2
    middle = (x + w / 2, y + h / 2)
    across, down = factor * size[1], factor * size[0]
    return middle[0] - across, middle[1] - down, middle[0] + across, middle[1] + down


def require_margin(margin: float) -> None:
    """Check a margin.

    Raises:
        ConfigError: it would cut into the object, or show next to nothing of it.
    """
    if not 1 <= margin <= 10:
        raise ConfigError(f"margin must be in 1..10, got {margin}", key="margin", remedy="1.2 is usual")


def crop_pixels(image: Pixels, box: Box, size: Size) -> Pixels:
    """The box at another size; beyond the picture its border is repeated."""
    h, w = image.shape[:2]
    left, top, right, bottom = box
    before = max(0, math.ceil(-top)), max(0, math.ceil(-left))
    after = max(0, math.ceil(bottom - h)), max(0, math.ceil(right - w))
    if any(before) or any(after):
        image = np.pad(image, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")
    return scale(image, (left + before[1], top + before[0], right + before[1], bottom + before[0]), size)


def crop_map(values: Array, box: Box, size: Size, beyond: float) -> Array:
    """Map ``[h, w]`` in the box, each pixel taken from where its centre falls; ``beyond`` outside the picture."""
    (h, w), (left, top, right, bottom) = values.shape, box
    rows = np.floor(top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(int)
    columns = np.floor(left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(int)
    inside = ((rows >= 0) & (rows < h))[:, None] & ((columns >= 0) & (columns < w))
    picked = values[rows.clip(0, h - 1)[:, None], columns.clip(0, w - 1)]
    return np.where(inside, picked, np.asarray(beyond, values.dtype))


def crop_points(points: Array, box: Box, size: Size) -> NDArray[np.float32]:
    """Keypoints ``[..., (x, y, v)]`` in the box at another size."""
    left, top, right, bottom = box
    factor = np.array([size[1] / (right - left), size[0] / (bottom - top)])
    result = np.array(points, dtype=np.float32)
    result[..., :2] = (np.asarray(points, dtype=np.float64)[..., :2] + 0.5 - (left, top)) * factor - 0.5
    return result


def hide_outside(points: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Keypoints with v = 0 for those out of the picture: nobody can find them there."""
    inside = ((points[..., :2] >= -0.5) & (points[..., :2] < (size[1] - 0.5, size[0] - 0.5))).all(-1)
    return np.concatenate([points[..., :2], np.where(inside, points[..., 2], 0)[..., None]], -1, dtype=np.float32)


def crop_camera(camera: Array, box: Box, size: Size) -> NDArray[np.float64]:
    """Camera matrix of the box at another size: K_crop = A K."""
    left, top, right, bottom = box
    across, down = size[1] / (right - left), size[0] / (bottom - top)
    move = [[across, 0, (0.5 - left) * across - 0.5], [0, down, (0.5 - top) * down - 0.5], [0, 0, 1]]
    return np.asarray(np.array(move) @ np.asarray(camera, dtype=np.float64))
