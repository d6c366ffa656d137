"""Dense labels beside the class label: masks, depth and keypoints of a set of images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import digest
from perceptransfer.core.errors import DataError
from perceptransfer.core.features import DEPTH, KEYPOINTS, MASK

IGNORE = 255
"""Mask value of a pixel that counts neither in training nor in a score."""
_TYPES: dict[str, type] = {MASK: np.uint8, DEPTH: np.float32, KEYPOINTS: np.float32}
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of n images of one size, by batch key; a key that is not there is a kind of label that nobody gave.

    ``mask`` ``uint8 [n, H, W]``: class index, 255 ignored. ``depth`` ``float32 [n, H, W]``: metres along the camera's
    axis, 0 unknown. ``keypoints`` ``float32 [n, A, K, 3]``: x and y in pixels with pixel centres at integers, and v = 0
    not labelled, 1 hidden, 2 visible; A are equivalent labellings of one image (a symmetric object looks the same under
    several), of which those not used have v = 0 throughout.

    ``mask_classes`` and ``keypoint_names`` name indices; ``keypoint_flip`` is the permutation of keypoints under
    mirroring (left and right change places), empty where none is needed, ``None`` where the mirror image is no such
    object, so that it has no keypoints. Depth with a ``canonical_focal_px`` is that of a camera of this focal length
    for all images, so that it shrinks as a picture is magnified; without one it is that of the scene.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    mask_classes: tuple[str, ...] = ()
    keypoint_names: tuple[str, ...] = ()
    keypoint_flip: tuple[int, ...] | None = ()
    canonical_focal_px: float | None = None

    def __bool__(self) -> bool:
        return bool(self.arrays)

    def check(self, n: int, size: tuple[int, int], where: str = "labels", names: Sequence[str] = ()) -> None:
        """Check kinds, shapes and values; ``names`` are those of the images, for errors.

        Raises:
            DataError: an unknown kind, another shape or type, values that are not finite, a mask class without a name.
        """
        for key, values in self.arrays.items():
            if key not in _TYPES:
                raise DataError(f"unknown kind of label {key!r}", where=where, remedy=f"known are {sorted(_TYPES)}")
            shape = (n, *size) if key != KEYPOINTS else (n, *values.shape[1:3], 3)
            if values.shape != shape or values.dtype != _TYPES[key]:
                raise DataError(
                    f"{key} is {values.dtype} {values.shape}, expected {_TYPES[key].__name__} {shape}",
                    where=where,
                    key=key,
                    remedy="labels must have the images' number and size",
                )
            if key != MASK and not np.isfinite(values).all():
                _refuse(~np.isfinite(values), "holds NaN or infinity", "write 0 for unknown", key, where, names)
        self._check_meaning(where, names)

    def _check_meaning(self, where: str, names: Sequence[str]) -> None:
        if DEPTH in self.arrays and len(self.arrays[DEPTH]) and float(self.arrays[DEPTH].min()) < 0:
            _refuse(self.arrays[DEPTH] < 0, "is negative", "depth is a distance in metres", DEPTH, where, names)
        if MASK in self.arrays and self.mask_classes:
            values, count = self.arrays[MASK], len(self.mask_classes)
            highest = int(np.max(values, where=values != IGNORE, initial=0))
            if highest >= count:
                what = f"holds class {highest}, there are {count}"
                _refuse(values == highest, what, "name all classes of the masks", MASK, where, names)
        if KEYPOINTS in self.arrays:
            count = self.arrays[KEYPOINTS].shape[2]
            if self.keypoint_flip and sorted(self.keypoint_flip) != list(range(count)):
                raise DataError(
                    f"{list(self.keypoint_flip)} is no permutation of {count} keypoints",
                    where=where,
                    key="keypoint_flip",
                )

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Targets:
        """Labels of some of the images, copied."""
        chosen = np.asarray(indices, dtype=np.int64)
        return self.replace({key: values[chosen] for key, values in self.arrays.items()})

    def replace(self, arrays: Mapping[str, Array]) -> Targets:
        """Other labels with the same names."""
        return replace(self, arrays=arrays)

    def digest(self) -> str:
        """Identity of all values and names."""
        hashes = {key: hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest() for key, a in self.arrays.items()}
        flip = None if self.keypoint_flip is None else list(self.keypoint_flip)
        canonical = [] if self.canonical_focal_px is None else [self.canonical_focal_px]
        return digest([hashes, list(self.mask_classes), list(self.keypoint_names), flip, *canonical])


def _refuse(wrong: Array, what: str, remedy: str, key: str, where: str, names: Sequence[str]) -> NoReturn:
    first = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])
    image = names[first] if names else f"image {first}"
    raise DataError(f"{key} of {image} {what}", where=where, key=key, remedy=remedy)


def joined(parts: Sequence[Targets], where: str) -> Targets:
    """Labels of several sets laid end to end; kinds that not all of them have are left out.

    Keypoint labellings are padded to the largest number of equivalents. If some keypoints must not be mirrored and the
    others say nothing of mirroring, none may be.

    Raises:
        DataError: other names or another number of keypoints.
    """
    kinds = set.intersection(*(set(part.arrays) for part in parts)) if parts else set()
    names = {(p.mask_classes, p.keypoint_names, p.keypoint_flip or None, p.canonical_focal_px) for p in parts}
    if kinds and len(names) > 1:
        raise DataError(f"labels of different meaning cannot be joined: {sorted(map(str, names))}", where=where)
    arrays = {}
    for key in sorted(kinds):
        values = [part.arrays[key] for part in parts]
        if key == KEYPOINTS:
            most = max(v.shape[1] for v in values)
            values = [np.pad(v, ((0, 0), (0, most - v.shape[1]), (0, 0), (0, 0))) for v in values]
        arrays[key] = np.concatenate(values)
    if not kinds:
        return Targets()
    flip = None if any(part.keypoint_flip is None for part in parts) else parts[0].keypoint_flip
    return replace(parts[0], arrays=arrays, keypoint_flip=flip)
