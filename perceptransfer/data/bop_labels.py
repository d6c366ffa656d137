"""Mask, depth and keypoints of crops out of BOP's scenes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.core.features import DEPTH, KEYPOINTS, MASK
from perceptransfer.data.bop_scene import Floats, Frame, Placed, equivalent_poses
from perceptransfer.data.crop import Box, crop_map, crop_points, hide_outside
from perceptransfer.data.label_files import image_size, read_json, read_map
from perceptransfer.data.layout import Entry
from perceptransfer.data.targets import IGNORE, Array

NEAR = 0.01  # metres; a keypoint this close to the measured surface is seen


@dataclass(frozen=True)
class Crop:
    """One object of a frame and the box about it."""

    entry: Entry
    frame: Frame
    one: Placed
    box: Box


def read_points(path: Path, models_info: Path | None, objects: Collection[str]) -> dict[str, Floats]:
    """Points ``[A, K, 3]`` of each object in metres, in its A equivalent labellings.

    Raises:
        DataError: files that are damaged, an object without points or with another number of them.
    """
    points = read_json(path, "keypoints")
    info = {} if models_info is None else read_json(models_info, "models_info")
    result = {}
    for name in sorted(objects):
        try:
            own = np.array(points[name], dtype=np.float64).reshape(-1, 3) / 1000
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"has no points [x, y, z] of the object {name}", where=path, key="keypoints",
                remedy="write object number to points in millimetres",
            ) from error  # fmt: skip
        motions = equivalent_poses(info.get(name, {}) if isinstance(info, dict) else info, models_info or path)
        result[name] = np.stack([own @ motion[:3, :3].T + motion[:3, 3] for motion in motions])
    if len({found.shape[1] for found in result.values()}) > 1:
        raise DataError(
            "objects have different numbers of points", where=path, key="keypoints", remedy="give all equally many"
        )
    return result


def read_labels(crops: Sequence[Crop], size: tuple[int, int], points: Mapping[str, Floats]) -> dict[str, Array]:
    """Masks and depth where every crop has them, and keypoints where there are points.

    Raises:
        DataError: a map that is damaged or of another size, a keypoint behind the camera.
    """
    given = {
        MASK: all(crop.frame.mask(crop.one).is_file() for crop in crops),
        DEPTH: all(crop.frame.depth.is_file() for crop in crops),
        KEYPOINTS: bool(points),
    }
    most = max((len(labellings) for labellings in points.values()), default=0)
    parts: dict[str, list[Array]] = {key: [] for key, there in given.items() if there}
    mask = depth = None
    latest: Frame | None = None  # frames have several crops, which stand together
    for crop in crops:
        of = image_size(crop.frame.picture)
        if given[MASK]:
            mask = read_map(crop.frame.mask(crop.one), MASK, of) > 0
            parts[MASK].append(crop_map(mask.astype(np.uint8), crop.box, size, IGNORE))
        if given[DEPTH]:
            if crop.frame is not latest:
                metres = read_map(crop.frame.depth, DEPTH, of) * crop.frame.depth_scale
                depth, latest = metres.astype(np.float32), crop.frame
            assert depth is not None  # read with the first crop of the frame
            parts[DEPTH].append(crop_map(depth, crop.box, size, 0))
        if points:
            found = _keypoints(crop, points[crop.one.object_id], mask, depth, of, size)
            parts[KEYPOINTS].append(np.pad(found, ((0, most - len(found)), (0, 0), (0, 0))))
    return {key: np.stack(values) for key, values in parts.items()}


def _keypoints(
    crop: Crop, points: Floats, mask: Array | None, depth: Array | None, of: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """``[A, K, 3]`` in the crop."""
    seen = points @ crop.one.rotation.T + crop.one.shift
    far = seen[..., 2]
    if not (far > 0).all():
        raise DataError(
            f"{crop.frame.name(crop.one)}: a keypoint is behind the camera", where=crop.frame.scene, key="keypoints",
            remedy="points are in millimetres of the object's frame; check them and the pose",
        )  # fmt: skip
    flat = seen @ crop.frame.camera.T
    places = flat[..., :2] / flat[..., 2:]
    column, row = np.rint(places[..., 0]).astype(int), np.rint(places[..., 1]).astype(int)
    hidden = ~((column >= 0) & (column < of[1]) & (row >= 0) & (row < of[0]))
    row, column = row.clip(0, of[0] - 1), column.clip(0, of[1] - 1)
    if mask is not None:
        hidden |= ~mask[row, column]
    if depth is not None:
        hidden |= (depth[row, column] > 0) & (depth[row, column] < far - NEAR)
    labelled = np.concatenate([places, np.where(hidden, 1.0, 2.0)[..., None]], -1)
    return hide_outside(crop_points(labelled, crop.box, size), size)
