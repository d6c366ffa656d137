"""The rows of an annotated set, checked: one image each, with its keypoints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.core.features import KEYPOINTS
from perceptransfer.data.crop import crop_points, hide_outside, whole

DESCRIPTION, ROWS = "dataset.json", "annotations.jsonl"
Row = Mapping[str, Any]


def read_rows(folder: Path) -> list[Row]:
    """All rows of the set in a folder.

    Raises:
        DataError: the file is missing, a row is damaged, or two are of one image.
    """
    path, rows = folder / ROWS, list[Row]()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", where=path, remedy="finish the rendering first") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows.append({**row, "file": row["file"], "label": row["label"]})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"line {number} is damaged ({error})", where=path, remedy="write it again") from error
    twice = [name for name, count in Counter(str(row["file"]) for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]} stands in two rows", where=path, key="file", remedy="leave one row an image")
    return rows


def focal_px(row: Row, of: tuple[int, int], size: tuple[int, int], where: Path) -> float:
    """Focal length in pixels of an image of shape ``of`` once it has ``size``, over both axes (geometric mean).

    Raises:
        DataError: the row has no camera matrix ``K``, or one without positive focal lengths.
    """
    try:
        across, down = float(row["K"][0][0]) * size[1] / of[1], float(row["K"][1][1]) * size[0] / of[0]
    except (KeyError, IndexError, TypeError, ValueError):
        across = down = 0.0
    if not (0 < across < np.inf and 0 < down < np.inf):
        raise DataError(
            f"{row['file']} has the camera matrix {row.get('K')!r}", where=where / ROWS, key="K",
            remedy="write the 3 x 3 matrix in pixels of this image, or leave out canonical_focal_px",
        )  # fmt: skip
    return float(np.sqrt(across * down))


def read_keypoints(
    rows: Sequence[Row], sizes: Sequence[tuple[int, int]], size: tuple[int, int], count: int, where: Path
) -> NDArray[np.float32]:
    """Keypoints ``[n, A, K, 3]`` of images of ``sizes`` at one ``size``; ``count`` is K if they have names, else 0.

    Raises:
        DataError: another shape or mark, another number of keypoints than named or than other rows have.
    """
    found = []
    for row, of in zip(rows, sizes, strict=True):
        try:
            points = np.array(row[KEYPOINTS], dtype=np.float64)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 3 or points.shape[2] != 3 or not np.isin(points[..., 2], (0, 1, 2)).all():
            raise DataError(
                f"keypoints of {row['file']} are no [A][K][x, y, v] with v = 0, 1 or 2", where=where / ROWS,
                key=KEYPOINTS, remedy="write the set again",
            )  # fmt: skip
        if points.shape[1] != (count or points.shape[1]):
            raise DataError(
                f"{row['file']} has {points.shape[1]} keypoints, {DESCRIPTION} names {count}", where=where / ROWS,
                key=KEYPOINTS, remedy="give every row all of them, v = 0 where one is not labelled",
            )  # fmt: skip
        found.append(hide_outside(crop_points(points, whole(of), size), size))
    most = max(points.shape[0] for points in found)
    counts = {points.shape[1] for points in found}
    if len(counts) > 1:
        raise DataError(f"images have {sorted(counts)} keypoints", where=where, key=KEYPOINTS)
    return np.stack([np.pad(points, ((0, most - len(points)), (0, 0), (0, 0))) for points in found])
