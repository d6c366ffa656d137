"""COCO's JSON as checked data: images, categories and the objects in each image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.data.label_files import read_json
from perceptransfer.data.outlines import mask_of
from perceptransfer.data.targets import Array

# Left and right as a word of their own (left_eye, leftEye, eyeLeft, LEFT EYE) or as a letter (l_eye, eye.L, LEye, eyeL)
SIDE = re.compile(
    r"(?<![A-Za-z])(?:left|right)(?![a-z])|(?<![A-Z])(?:Left|Right)(?![a-z])|(?<![A-Za-z])(?:LEFT|RIGHT)(?![A-Za-z])"
    r"|(?<![A-Za-z0-9])[lrLR](?=[A-Z][a-z]|[^A-Za-z0-9]|$)|(?<=[a-z])[LR](?![A-Za-z0-9])"
)
PAIRS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))
OTHER = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
FLIP = "keypoint_flip"


@dataclass(frozen=True)
class Thing:
    """One annotated object: ``box`` (x, y, w, h) in pixels, ``keypoints`` ``[K, 3]`` or ``None``.

    ``place`` names it in errors; ``crowd`` is a region with many objects that nobody has told apart.
    """

    place: str
    image: Any
    category: str
    box: tuple[float, float, float, float]
    segmentation: Any
    crowd: bool
    keypoints: NDArray[np.float64] | None

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        return self.box[2] * self.box[3]

    def mask(self, size: tuple[int, int], where: Path) -> Array:
        """Pixels of the object ``bool [H, W]``.

        Raises:
            DataError: a segmentation that cannot be read or does not fit the image.
        """
        try:
            return mask_of(self.segmentation, size)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self.place}: {error}", where=where, key="segmentation", remedy="export the annotations again"
            ) from error


@dataclass(frozen=True)
class CocoFile:
    """Images (file name, height, width) by id, keypoint names by category, and all objects.

    ``told`` is what the file says about itself (``info``).
    """

    path: Path
    images: Mapping[Any, tuple[str, int, int]]
    categories: Mapping[str, tuple[str, ...]]
    things: tuple[Thing, ...]
    told: Mapping[str, Any]

    def flip(self, names: Sequence[str]) -> tuple[int, ...] | None:
        """``Targets.keypoint_flip`` of keypoints of these names: what ``info`` says, else as the names say.

        Raises:
            DataError: no permutation of them; a left one without its right one.
        """
        if not names or FLIP not in self.told:
            return mirrored_names(names, self.path)
        told = self.told[FLIP]
        if told is None or told == []:
            return None if told is None else ()
        if not isinstance(told, list) or sorted(map(repr, told)) != sorted(map(repr, range(len(names)))):
            raise DataError(
                f"{told} is no permutation of {len(names)} keypoints", where=self.path, key=f"info.{FLIP}",
                remedy="write where each keypoint goes under mirroring, or null if the mirror image is no such object",
            )  # fmt: skip
        return tuple(told)


def read_coco(path: Path) -> CocoFile:
    """Read and check a file.

    Raises:
        DataError: missing, cut off, or without a field that is needed; an object of an unknown image or category.
    """
    data = read_json(path, "annotations")
    try:
        images = {it["id"]: (str(it["file_name"]), int(it["height"]), int(it["width"])) for it in data["images"]}
        categories = {
            it["id"]: (str(it["name"]), tuple(map(str, it.get("keypoints", ())))) for it in data["categories"]
        }
        rows, info = list(data["annotations"]), data.get("info")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"is no COCO file of objects ({error!r})", where=path, key="annotations",
            remedy="images need id, file_name, height and width; categories id and name",
        ) from error  # fmt: skip
    things = tuple(_thing(row, number, images, categories, path) for number, row in enumerate(rows))
    return CocoFile(path, images, dict(categories.values()), things, info if isinstance(info, dict) else {})


def _thing(
    row: Any, number: int, images: Mapping[Any, Any], categories: Mapping[Any, tuple[str, tuple[str, ...]]], path: Path
) -> Thing:
    place = f"annotation {row.get('id', number) if isinstance(row, dict) else number}"
    try:
        image, category, box = row["image_id"], row["category_id"], tuple(float(value) for value in row["bbox"])
        known = category in categories, image in images
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place} is damaged ({error!r})", where=path, remedy="export the annotations again") from error
    if not known[0]:
        raise DataError(
            f"{place} has the unknown category {category!r}, known are {sorted(map(str, categories))}",
            where=path,
            key="category_id",
            remedy="add the category, or remove the annotation",
        )
    if not known[1]:
        raise DataError(f"{place} has the unknown image {image!r}", where=path, key="image_id", remedy="add the image")
    if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) < 0:
        raise DataError(f"{place} has the box {list(box)}", where=path, key="bbox", remedy="a box is [x, y, w, h]")
    name, names = categories[category]
    points = _points(row["keypoints"], len(names), place, path) if names and row.get("keypoints") else None
    return Thing(place, image, name, box, row.get("segmentation"), bool(row.get("iscrowd", 0)), points)


def _points(flat: Any, count: int, place: str, path: Path) -> NDArray[np.float64]:
    try:
        points = np.asarray(flat, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.shape != (3 * count,) or not np.isfinite(points).all() or not set(points[2::3]) <= {0.0, 1.0, 2.0}:
        raise DataError(
            f"{place} has keypoints that are not {count} times x, y and v = 0, 1 or 2",
            where=path,
            key="keypoints",
            remedy="export the annotations again",
        )
    return points.reshape(count, 3)


def mirrored_names(names: Sequence[str], where: Path | None = None) -> tuple[int, ...]:
    """For each keypoint the one whose name has left and right exchanged, or itself; empty where none changes.

    Left and right are words or single letters of a longer name.

    Raises:
        DataError: a left one without its right one.
    """
    flip = []
    for name in names:
        other = name if len(name) == 1 else SIDE.sub(lambda found: OTHER[found[0]], name)
        if other not in names:
            raise DataError(
                f"keypoint {name!r} has no {other!r}", where=where, key="keypoints",
                remedy=f"name both sides alike, or write the permutation as info.{FLIP}",
            )  # fmt: skip
        flip.append(list(names).index(other))
    return tuple(flip) if flip != list(range(len(flip))) else ()
