"""The outline of a body on the picture, as if nothing stood before it."""

from __future__ import annotations

import numpy as np


def covered(pixels: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels whose centre lies in at least one triangle.

    Args:
        pixels: [V, 2] projected vertices, pixel centres at integers; NaN for a vertex behind the camera.
        triangles: [T, 3] vertex numbers.
        width: of the picture.
        height: of the picture.

    Returns:
        [height, width] bool.
    """
    corners = [pixels[triangles[:, i]] for i in range(3)]  # [T, 2] each
    low = np.ceil(np.maximum(np.minimum(np.minimum(*corners[:2]), corners[2]), 0))
    high = np.floor(np.minimum(np.maximum(np.maximum(*corners[:2]), corners[2]), [width - 1, height - 1]))
    keep = np.flatnonzero((high[:, 0] >= low[:, 0]) & (high[:, 1] >= low[:, 1]))  # false for NaN
    corners, low = [corner[keep] for corner in corners], low[keep].astype(int)
    spans = high[keep].astype(int) - low + 1
    mask = np.zeros((height, width), bool)
    sizes = spans[:, 0] * spans[:, 1]
    if not sizes.sum():
        return mask
    # One row for each triangle and each pixel centre in its box: meshes seen small have few pixels a triangle.
    owner = np.repeat(np.arange(len(sizes)), sizes)
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    x = low[owner, 0] + step % spans[owner, 0]
    y = low[owner, 1] + step // spans[owner, 0]
    sides = [_side(corners[i], corners[(i + 1) % 3], owner, x, y) for i in range(3)]
    inside = ((sides[0] >= 0) & (sides[1] >= 0) & (sides[2] >= 0)) | (
        (sides[0] <= 0) & (sides[1] <= 0) & (sides[2] <= 0)
    )
    mask[y[inside], x[inside]] = True
    return mask


def _side(start: np.ndarray, end: np.ndarray, owner: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """On which side of the triangles' edge the points lie: positive, negative, or 0 on it."""
    edge = end - start
    return edge[owner, 0] * (y - start[owner, 1]) - edge[owner, 1] * (x - start[owner, 0])
