"""Changes of view: one mapping an image, applied alike to pixels, masks, depth and keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import DEPTH, KEYPOINTS, MASK
from perceptransfer.data.record import Pixels
from perceptransfer.data.targets import IGNORE, Targets

Floats = NDArray[np.float64]
NEWTON_STEPS = 8


@dataclass(frozen=True, eq=False)
class View:
    """For each of n images: where a pixel of the result comes from.

    A result pixel u samples the image at ``matrix[:, :2] @ b(u - centre) + matrix[:, :2] @ centre + matrix[:, 2]`` with
    ``b(g) = g (1 + bend |g|²/|centre|²)`` (barrel or cushion), ``matrix [n, 2, 3]``, ``bend [n]`` or ``None``.
    ``mirrored [n]`` says which images change left and right.
    """

    matrix: Floats
    bend: Floats | None
    mirrored: NDArray[np.bool_]
    size: tuple[int, int]

    @property
    def centre(self) -> Floats:
        """Middle of the image (x, y)."""
        return np.array([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])

    def pixels(self, images: Pixels) -> Pixels:
        """Images ``[n, H, W, 3]``, interpolated linearly; beyond the border they are mirrored."""
        return self._sample(images, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101, 0)

    def targets(self, targets: Targets) -> Targets:
        """Labels of the moved images.

        Masks and depth take the nearest pixel; beyond the border, where the picture is only a reflection, masks are
        ignored and depth unknown. Depth keeps its values under magnification, canonical depth is divided by it.
        Keypoints move with the picture, those of mirrored images change names by ``keypoint_flip``; they may end
        outside the picture.

        Raises:
            ConfigError: mirrored images of objects whose mirror image has no keypoints.
        """
        moved: dict[str, NDArray[Any]] = {}
        for key, values in targets.arrays.items():
            if key == KEYPOINTS:
                moved[key] = self._keypoints(values, targets.keypoint_flip)
            else:
                beyond = {MASK: IGNORE, DEPTH: 0}[key]
                moved[key] = self._sample(values, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, beyond)
        if targets.canonical_focal_px is not None and DEPTH in moved:
            # From results to images, hence the inverse of the magnification.
            shrunk = np.sqrt(np.abs(np.linalg.det(self.matrix[:, :, :2]))).astype(np.float32)
            moved[DEPTH] = moved[DEPTH] * shrunk[:, None, None]
        return targets.replace(moved)

    def points(self, points: Floats) -> Floats:
        """Where points ``[n, P, 2]`` (x, y) of the images lie in the results."""
        linear = self.matrix[:, :, :2]
        origin = linear @ self.centre + self.matrix[:, :, 2]
        flat = np.einsum("nij,npj->npi", np.linalg.inv(linear), points - origin[:, None])
        if self.bend is not None:
            flat = _unbend(flat, self.bend[:, None] / float(self.centre @ self.centre))
        return np.asarray(flat + self.centre, dtype=np.float64)

    def origins(self, points: Floats) -> Floats:
        """Where points ``[n, P, 2]`` (x, y) of the results lie in the images: the inverse of `points`."""
        flat = points - self.centre
        if self.bend is not None:
            radius = (flat**2).sum(-1, keepdims=True) / float(self.centre @ self.centre)
            flat = flat * (1 + self.bend[:, None, None] * radius)
        linear = self.matrix[:, :, :2]
        origin = linear @ self.centre + self.matrix[:, :, 2]
        return np.asarray(np.einsum("nij,npj->npi", linear, flat) + origin[:, None], dtype=np.float64)

    def _keypoints(self, values: NDArray[np.float32], flip: tuple[int, ...] | None) -> NDArray[np.float32]:
        if flip is None and self.mirrored.any():
            raise ConfigError(
                "mirror images of these objects have no keypoints", key="flip",
                remedy="set flip to false, or read the set without keypoints",
            )  # fmt: skip
        n, labellings, count = values.shape[:3]
        result = values.copy()
        places = self.points(values[..., :2].reshape(n, -1, 2).astype(np.float64))
        result[..., :2] = places.reshape(n, labellings, count, 2)
        if flip:
            result[self.mirrored] = result[self.mirrored][:, :, list(flip)]
        return result

    def _sample(self, images: NDArray[Any], how: int, border: int, beyond: float) -> NDArray[Any]:
        n, (height, width) = len(images), self.size
        moved = np.empty_like(images)
        if self.bend is None:
            for i in range(n):
                options = how | cv2.WARP_INVERSE_MAP
                cv2.warpAffine(images[i], self.matrix[i], (width, height), moved[i], options, border, beyond)
            return moved
        matrix, centre = self.matrix, self.centre
        grid = np.indices((height, width), dtype=np.float32)[::-1].reshape(2, -1) - centre[:, None].astype(np.float32)
        radius = (grid**2).sum(0) / np.float32(centre @ centre)
        bent = grid * (1 + self.bend[:, None, None].astype(np.float32) * radius)
        maps = matrix[:, :, :2].astype(np.float32) @ bent
        maps += (matrix[:, :, :2] @ centre + matrix[:, :, 2])[:, :, None].astype(np.float32)
        for i, (across, down) in enumerate(maps.reshape(n, 2, height, width)):
            cv2.remap(images[i], across, down, how, moved[i], border, beyond)
        return moved


def _unbend(bent: Floats, strength: Floats) -> Floats:
    """Solve ``g (1 + strength |g|²) = bent`` for g ``[n, P, 2]`` by Newton's method on the radius."""
    target = np.linalg.norm(bent, axis=-1)
    radius = target.copy()
    for _ in range(NEWTON_STEPS):
        slope = 1 + 3 * strength * radius**2
        radius -= (radius * (1 + strength * radius**2) - target) / np.where(np.abs(slope) < 1e-3, 1e-3, slope)
    share = np.divide(radius, target, out=np.ones_like(target), where=target > 0)
    return np.asarray(bent * share[..., None], dtype=np.float64)
