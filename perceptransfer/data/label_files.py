"""Reading the files that hold labels, each failure naming the file and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data.layout import Entry
from perceptransfer.data.splits import hold_out
from perceptransfer.data.targets import Array

PARTS: tuple[str, ...] = ("train", "test", "val")  # the order of hold_out's parts
TURNED = (5, 6, 7, 8)  # EXIF orientations that change height and width
ORIENTATION = 0x0112


def read_json(path: Path, key: str) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: missing, cut off, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read as JSON ({error})", where=path, key=key, remedy="copy or download the file again"
        ) from error


def read_map(path: Path, key: str, of: tuple[int, int]) -> Array:
    """One whole number a pixel ``[h, w]`` from an image file; palette images give their indices.

    Raises:
        DataError: missing, unreadable, with colours, or not as large as its image (``of`` = (H, W)).
    """
    try:
        with Image.open(path) as opened:
            values = np.asarray(opened)
    except Exception as error:  # a damaged file makes Pillow's plugins raise nearly anything
        raise DataError(f"cannot be read ({error})", where=path, key=key, remedy="copy the file again") from error
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise DataError(
            f"is {values.dtype} {values.shape}, not one whole number a pixel", where=path, key=key,
            remedy="save it as an 8- or 16-bit grey image of indices",
        )  # fmt: skip
    check_size(values, of, path, key)
    return values


def check_size(values: Array, of: tuple[int, int], where: Path | str, key: str) -> None:
    """Check that a map is as large as its image.

    Raises:
        DataError: it is not.
    """
    if values.shape[:2] != of:
        raise DataError(
            f"{key} is {values.shape[1]}x{values.shape[0]}, its image {of[1]}x{of[0]}", where=where, key=key,
            remedy="labels need the size of their image",
        )  # fmt: skip


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as it is shown, without decoding it."""
    with Image.open(path) as image:
        turned = image.getexif().get(ORIENTATION) in TURNED
        return (image.width, image.height) if turned else (image.height, image.width)


def split_up(entries: Sequence[Entry], groups: Sequence[str], share: float, seed: int) -> list[Entry]:
    """Entries without a split, with a ``share`` of them put into the test, whole groups at a time; 0 changes nothing.

    Raises:
        FractionError: a share outside 0..1.
    """
    if not share:
        return list(entries)
    classes = sorted({str(entry.label) for entry in entries})
    labels = np.array([classes.index(str(entry.label)) for entry in entries], dtype=np.int64)
    parts = hold_out(labels, (share,), seed, groups, classes=classes, key="test_share")
    return [Entry(entry.name, PARTS[part], entry.label) for entry, part in zip(entries, parts, strict=True)]


def named_classes(
    found: Iterable[str], wanted: dict[str, str] | None, unmapped: Literal["error", "drop"], where: Path
) -> dict[str, str]:
    """Class of every category that is kept: all under their own names, or those that ``wanted`` maps to classes.

    Raises:
        ConfigError: a category that does not exist, or one that is not mapped while ``unmapped`` is ``error``.
    """
    present = sorted(set(found))
    if wanted is None:
        return {name: name for name in present}
    wanted = {str(name): str(kind) for name, kind in wanted.items()}  # YAML reads 1: ape with a number
    absent = sorted(set(wanted) - set(present))
    if absent:
        raise ConfigError(
            f"{where} has no categories {absent}; it has {present}", key="class_map", remedy="name existing categories"
        )
    left = sorted(set(present) - set(wanted))
    if left and unmapped == "error":
        raise ConfigError(
            f"categories {left} of {where} are not mapped", key="class_map", remedy='map them or set unmapped to "drop"'
        )
    return {name: wanted[name] for name in present if name in wanted}
