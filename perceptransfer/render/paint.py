"""Patterns and pictures on surfaces and behind them; the same for every renderer."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ImageError
from perceptransfer.render.colours import to_linear
from perceptransfer.render.patterns import PATTERNS
from perceptransfer.render.plan import Background, Camera, Colour, Texture

Colours = NDArray[np.float32]


@functools.lru_cache(maxsize=64)
def tile(colour: Colour, texture: Texture) -> Colours:
    """One period of a pattern between two colours, linear ``float32 [128, 128, 3]``, or the picture file."""
    if texture.image is not None:
        return picture(texture.image)
    blend = np.clip(PATTERNS[texture.kind](np.random.default_rng(texture.seed)), 0, 1)[..., None]
    mixed = np.asarray(colour) * (1 - blend) + np.asarray(texture.second_colour) * blend
    return np.asarray(mixed, dtype=np.float32)


def picture(path: str) -> Colours:
    """A picture file, linear ``float32 [H, W, 3]``.

    Raises:
        ImageError: it cannot be read.
    """
    stored = cv2.imread(path, cv2.IMREAD_COLOR) if Path(path).is_file() else None
    if stored is None:
        raise ImageError("cannot be read as a picture", where=path, remedy="remove it from the folder, or repair it")
    return np.asarray(to_linear(stored[..., ::-1] / 255.0), dtype=np.float32)


def lookup(pattern: Colours, u: NDArray[np.floating], v: NDArray[np.floating]) -> Colours:
    """Colours [N, 3] of a repeating pattern at coordinates [N] in periods, linear interpolation."""
    height, width = pattern.shape[:2]
    x, y = u * width - 0.5, v * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    x0, y0 = left.astype(np.int64) % width, top.astype(np.int64) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    upper = pattern[y0, x0] * (1 - fx) + pattern[y0, x1] * fx
    return np.asarray(upper * (1 - fy) + (pattern[y1, x0] * (1 - fx) + pattern[y1, x1] * fx) * fy)


def on_surface(
    colour: Colour, texture: Texture, points: NDArray[np.floating], normals: NDArray[np.floating]
) -> Colours:
    """Colours [N, 3] of surface points in the object's frame, projected along the axis nearest to each normal."""
    if texture.kind == "plain" and texture.image is None:
        return np.broadcast_to(np.asarray(colour, np.float32), points.shape)
    axis = np.abs(normals).argmax(1)
    rows = np.arange(len(points))
    u, v = points[rows, (axis + 1) % 3], points[rows, (axis + 2) % 3]
    return lookup(tile(colour, texture), u / texture.scale, v / texture.scale)


def behind(background: Background, camera: Camera) -> Colours:
    """What the camera sees where nothing is, linear ``float32 [H, W, 3]``.

    A photo fills the picture with a piece of its shape, ``scale`` of the largest, from a random place; a pattern
    repeats every ``scale`` heights, from a random start.
    """
    texture, (height, width) = background.texture, (camera.height, camera.width)
    rng = np.random.default_rng(texture.seed + 1)
    if texture.image is not None:
        photo = picture(texture.image)
        share = texture.scale * min(photo.shape[0] / height, photo.shape[1] / width)
        h, w = max(1, round(share * height)), max(1, round(share * width))
        y, x = rng.integers(0, photo.shape[0] - h + 1), rng.integers(0, photo.shape[1] - w + 1)
        piece = np.ascontiguousarray(photo[y : y + h, x : x + w])
        how = cv2.INTER_AREA if share > 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(piece, (width, height), interpolation=how), dtype=np.float32)
    start = rng.random(2)
    v, u = np.mgrid[:height, :width] / (height * texture.scale)
    seen = lookup(tile(background.colour, texture), (u + start[0]).ravel(), (v + start[1]).ravel())
    return np.asarray(seen.reshape(height, width, 3))
