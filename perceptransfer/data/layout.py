"""Which files of a folder are images, and what their place says: split and class."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data.images import EXTENSIONS

SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
ClassMap = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """An image file: its path relative to the root (with ``/``), split and class folder."""

    name: str
    split: str | None
    label: str | None


def require_folder(path: Path) -> None:
    """Check that a folder is there.

    Raises:
        DataError: missing, or a file.
    """
    if not path.is_dir():
        problem = "is a file, not a folder" if path.exists() else "folder does not exist"
        raise DataError(problem, where=path, key="path", remedy="give the path of an existing folder of images")


def image_files(root: Path) -> list[str]:
    """All images below ``root`` by relative name, sorted; links are followed, hidden files and folders skipped.

    Raises:
        DataError: missing folder, or no image in it.
    """
    require_folder(root)
    names = sorted(
        path.relative_to(root).as_posix()
        for path in _files(root, frozenset())
        if path.suffix.lower() in EXTENSIONS and path.is_file()
    )
    if not names:
        raise DataError("holds no images", where=root, key="path", remedy=f"known are {' '.join(sorted(EXTENSIONS))}")
    return names


def _files(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    # `rglob` does not follow links, and data sets are often made of links; one that leads back up is not entered.
    above = above | {folder.resolve()}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif not any(place.is_relative_to(path.resolve()) for place in above):
            yield from _files(path, above)


def class_entries(root: Path, one_class: str | None = None) -> list[Entry]:
    """Read ``root/class/…`` or ``root/train|val|test/class/…``; below a class folder any depth.

    With ``one_class`` folders have no meaning but the split: all images are of that class.

    Raises:
        DataError: no images, images outside class folders, split folders beside class folders, an empty class folder.
    """
    names = image_files(root)
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    with_splits = [name for name in folders if name.lower() in SPLIT_FOLDERS]
    if with_splits and len(with_splits) < len(folders):
        others = sorted(set(folders) - set(with_splits))
        raise DataError(
            f"holds split folders {with_splits} beside {others}", where=root, remedy="move one kind out of the folder"
        )
    if one_class is not None:
        folder_of = [name.split("/")[0].lower() if with_splits else "" for name in names]
        return [Entry(name, SPLIT_FOLDERS.get(part), one_class) for name, part in zip(names, folder_of, strict=True)]
    depth = 2 if with_splits else 1
    for parent in [root / name for name in with_splits] or [root]:
        for folder in parent.iterdir():
            relative = folder.relative_to(root).as_posix() + "/"
            if folder.is_dir() and not folder.name.startswith(".") and not any(n.startswith(relative) for n in names):
                raise DataError("class folder holds no images", where=folder, remedy="add images or remove the folder")
    entries = []
    for name in names:
        parts = name.split("/")
        if len(parts) <= depth:
            raise DataError(
                "image lies outside a class folder",
                where=root / name,
                remedy="use class/image or train|val|test/class/image; for images without classes use UnlabeledFolder",
            )
        split = SPLIT_FOLDERS[parts[0].lower()] if with_splits else None
        entries.append(Entry(name, split, parts[depth - 1]))
    return entries


def map_classes(
    entries: Sequence[Entry], class_map: ClassMap, unmapped: Literal["error", "drop"], root: Path
) -> list[Entry]:
    """Rename class folders to classes: ``{"01000": "1"}``, or ``{"1": ["01000", …]}`` to join several into one.

    Raises:
        ConfigError: a folder named twice or not there, or a folder that is not mapped while ``unmapped`` is ``error``.
    """
    target: dict[str, str] = {}
    for key, value in class_map.items():
        pairs = [(key, value)] if isinstance(value, str) else [(folder, key) for folder in value]
        for folder, name in pairs:
            if target.setdefault(str(folder), str(name)) != str(name):
                raise ConfigError(f"folder {folder!r} is mapped to two classes", key="class_map")
    present = {entry.label for entry in entries if entry.label is not None}
    absent = sorted(set(target) - present)
    if absent:
        raise ConfigError(
            f"{root} has no class folders {absent}; it has {sorted(present)}",
            key="class_map",
            remedy='name existing folders; quote names that look like numbers ("01000")',
        )
    left = sorted(present - set(target))
    if left and unmapped == "error":
        raise ConfigError(
            f"class folders {left} of {root} are not mapped",
            key="class_map",
            remedy='map them or set unmapped to "drop"',
        )
    return [replace(entry, label=target[entry.label]) for entry in entries if entry.label in target]


def pattern_groups(names: Sequence[str], pattern: str) -> list[str]:
    """Group of every file: what the first parenthesis of ``pattern`` matches in its relative name.

    Raises:
        ConfigError: not a regular expression, or one without a parenthesis.
        DataError: a file that it does not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"not a regular expression: {error}", key="group_pattern") from error
    if compiled.groups < 1:
        raise ConfigError(f"{pattern!r} has no parenthesis", key="group_pattern", remedy="mark the group with (...)")
    groups = []
    for name in names:
        match = compiled.search(name)
        if match is None or match.group(1) is None:
            raise DataError(f"does not match {pattern!r}", where=name, key="group_pattern", remedy="widen the pattern")
        groups.append(match.group(1))
    return groups


def table_groups(names: Sequence[str], table: Path, column: str) -> list[str]:
    """Group of every file from a CSV table with the columns ``file`` and ``column``.

    Raises:
        DataError: the table is missing, has other columns, or lacks a file.
    """
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read ({error})", where=table, key="groups_csv") from error
    if not rows or "file" not in rows[0] or column not in rows[0]:
        found = list(rows[0]) if rows else []
        raise DataError(f"needs the columns file and {column}, has {found}", where=table, key="group_column")
    group_of = {row["file"]: row[column] for row in rows}
    missing = [name for name in names if name not in group_of]
    if missing:
        raise DataError(f"names no group for {len(missing)} files, first {missing[0]}", where=table, key="groups_csv")
    return [group_of[name] for name in names]
