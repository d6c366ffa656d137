"""Masks of objects from COCO's two ways to write them down: run lengths and polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def mask_of(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Mask ``[H, W]`` of a list of polygons or of run lengths, compressed or not.

    Raises:
        ValueError: neither, or run lengths that do not fit the size.
    """
    if isinstance(segmentation, list):
        mask = np.zeros(size, bool)
        for polygon in segmentation:
            mask |= inside(polygon, size)
        return mask
    if not isinstance(segmentation, dict) or not {"counts", "size"} <= segmentation.keys():
        raise ValueError("a segmentation is a list of polygons or has counts and size")
    if tuple(segmentation["size"]) != size:
        raise ValueError(f"run lengths for {list(segmentation['size'])}, the image has {list(size)} (height, width)")
    counts = segmentation["counts"]
    return runs(unpacked(counts) if isinstance(counts, str) else counts, size)


def runs(counts: Any, size: tuple[int, int]) -> Mask:
    """Mask of lengths of runs down the columns, beginning with zeros.

    Raises:
        ValueError: the lengths do not add up to the image.
    """
    lengths = np.asarray(counts, dtype=np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths do not add up to {size[0]} x {size[1]} pixels")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")


def unpacked(text: str) -> list[int]:
    """Run lengths from COCO's compressed string.

    Each number is cut into groups of five bits, the lowest first, in a character each (offset 48; bit 6 says that more
    follow, and of the last group bit 5 is the sign). From the third run on, the difference to the run before the last
    one is written.

    Raises:
        ValueError: the string ends within a number or holds other characters.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise ValueError(f"{character!r} is no character of compressed run lengths")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end within a number")
    return counts


def inside(polygon: Any, size: tuple[int, int]) -> Mask:
    """Pixels whose centre lies inside a polygon ``[x0, y0, x1, y1, ...]``; pixel i covers i to i + 1.

    Raises:
        ValueError: fewer than three corners, or numbers that are not finite.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
        raise ValueError("a polygon needs at least three corners x, y")
    start = corners.reshape(-1, 2) - 0.5  # pixel centres at integers
    end = np.roll(start, -1, 0)
    mask = np.zeros(size, bool)
    first, last = np.clip([np.ceil(start[:, 1].min()), np.floor(start[:, 1].max()) + 1], 0, size[0]).astype(int)
    for row in range(first, last):
        crossing = (start[:, 1] <= row) != (end[:, 1] <= row)
        (x0, y0), (x1, y1) = start[crossing].T, end[crossing].T
        places = np.sort(x0 + (row - y0) * (x1 - x0) / (y1 - y0))
        limits = np.ceil(places).clip(0, size[1]).astype(int)
        for left, right in zip(limits[::2], limits[1::2], strict=True):
            mask[row, left:right] = True
    return mask
