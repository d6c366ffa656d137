"""A set at a glance: pictures in a grid with masks, boxes and keypoints drawn over them."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import write_atomic
from perceptransfer.render.writer import read_pixels, rows

Pixels = NDArray[np.uint8]
CELL = 192  # pixels; every picture is enlarged to this width


def contact_sheet(folder: Path, path: Path, columns: int = 8, lines: int = 4) -> None:
    """Write a PNG of up to ``columns * lines`` samples spread over the set, each plain and with its labels.

    Outlines have the colour of the class; keypoints are filled where visible, rings where occluded.

    Raises:
        DataError: the set has no samples.
        OutputError: the picture cannot be written.
    """
    found = list(rows(folder))
    if not found:
        raise DataError("the set has no samples", where=folder, remedy="render some first")
    about = json.loads((folder / "dataset.json").read_text())
    count = min(len(found), columns * lines)
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]
    columns = min(columns, len(chosen))
    cells = [_cell(folder, row, about["mask_classes"]) for row in chosen]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    sheet = np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])
    done, packed = cv2.imencode(".png", sheet[..., ::-1])
    assert done, "OpenCV refuses a uint8 colour picture"
    write_atomic(path, packed.tobytes())


def overlay(
    image: Pixels, row: dict[str, Any], instances: NDArray[np.generic], mask_classes: list[str], zoom: float
) -> Pixels:
    """The picture enlarged by ``zoom`` with outlines of the objects and the keypoints of the sample."""
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    drawn = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
    for it in row["objects"]:
        inside = (instances == it["instance"]).astype(np.uint8)
        large = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)
        outline, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(
            drawn, outline, -1, _colour(mask_classes.index(it["class"]), len(mask_classes)), 1, cv2.LINE_AA
        )
    points = row["keypoints"][0] if row.get("keypoints") else []
    for number, (x, y, state) in enumerate(points):
        if state:
            place = (round((x + 0.5) * zoom - 0.5), round((y + 0.5) * zoom - 0.5))
            if state == 2:
                cv2.circle(drawn, place, 3, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(
                drawn, place, 2 if state == 2 else 3, _colour(number, len(points)), -1 if state == 2 else 1, cv2.LINE_AA
            )
    return np.asarray(drawn, dtype=np.uint8)


def _cell(folder: Path, row: dict[str, Any], mask_classes: list[str]) -> Pixels:
    """The picture above, the labels over it below, and the class at the bottom."""
    image = np.asarray(read_pixels(folder / row["file"]), np.uint8)
    instances = read_pixels(folder / row["instances"])
    zoom = CELL / image.shape[1]
    size = (CELL, round(image.shape[0] * zoom))
    labelled = overlay(image, row, instances, mask_classes, zoom)
    plain = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    caption = np.full((18, CELL, 3), 255, np.uint8)
    text = f"{Path(row['file']).stem}  {row['label']}"
    cv2.putText(caption, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([plain, labelled, caption])


def _colour(number: int, count: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number / max(count, 1), 0.9, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
