"""A set in the layout of COCO: boxes, masks, keypoints."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.files import write_atomic
from perceptransfer.render.writer import read_pixels, rows


def export(folder: Path) -> Path:
    """Write coco.json beside the images: one annotation for every visible object, masks run-length coded.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written.
    """
    about = json.loads((folder / "dataset.json").read_text())
    names = about["mask_classes"][1:]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows(folder), start=1):
        instances = read_pixels(folder / row["instances"])
        height, width = instances.shape
        images.append({"id": number, "file_name": row["file"], "width": width, "height": height})
        for it in row["objects"]:
            mask = instances == it["instance"]
            if mask.any():
                one = {"id": len(annotations) + 1, "image_id": number, "category_id": 1 + names.index(it["class"])}
                annotations.append({**one, **_shape(mask, it), **_points(it["keypoints"])})
    categories = [
        {"id": i, "name": name, "supercategory": "", "keypoints": about["keypoint_names"], "skeleton": []}
        for i, name in enumerate(names, start=1)
    ]
    # COCO has no place for it; without it a reader goes by left and right in the names.
    info = {"description": about["origin"], "version": "1.0", "keypoint_flip": about["keypoint_flip"]}
    licences = [{"id": 1, "name": about["licence"], "url": ""}]
    data = {
        "info": info, "licenses": licences, "images": images, "annotations": annotations, "categories": categories,
    }  # fmt: skip
    write_atomic(folder / "coco.json", json.dumps(data, separators=(",", ":")) + "\n")
    return folder / "coco.json"


def _shape(mask: NDArray[np.bool_], it: dict[str, Any]) -> dict[str, Any]:
    return {
        "bbox": it["box"],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
    }


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs down the columns, beginning with zeros."""
    column = mask.ravel(order="F")
    lengths = [(value, sum(1 for _ in run)) for value, run in groupby(column.tolist())]
    return [0] * bool(lengths[0][0]) + [length for _, length in lengths]


def _points(points: list[list[float]]) -> dict[str, Any]:
    """COCO wants x = y = v = 0 for what is not labelled."""
    flat = [number for x, y, v in points for number in ((x, y, v) if v else (0, 0, 0))]
    return {"keypoints": flat, "num_keypoints": sum(1 for point in points if point[2])}
