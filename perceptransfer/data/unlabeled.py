"""Pictures of the target domain without any label, in two halves that share no scene."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.data.images import decode, read_bytes, resize
from perceptransfer.data.layout import SPLIT_FOLDERS, image_files, require_folder
from perceptransfer.data.record import Pixels

DESCRIPTIONS = ("annotations.jsonl", "manifest.json", "manifest.yaml", "manifest.yml")
NEAR = 3  # parts at the end of a folder's path that may name its split: SET/test/rock, SET/test/images/rock
FEWEST = 8


class Halves(NamedTuple):
    """Images ``uint8 [n, H, W, 3]`` to fit to and to judge by, and how many were left out for their split."""

    fit: Pixels
    judge: Pixels
    left_out: int


def read_unlabeled(root: Path, size: tuple[int, int] | None = None, count: int = 400, seed: int = 0) -> Halves:
    """Up to ``count`` images below a folder, cut to ``size`` (H, W; default: that of the first).

    Where a manifest, an annotations.jsonl or a folder's name says to which split an image belongs, only ``train`` and
    images without one are read; where several say it, all must say so. Images of one group go into the same half.
    Labels are not looked at.

    Raises:
        TestDomainError: all images belong to a validation or test split.
        DataError: no folder, no images, too few of them or only one group; a description that cannot be read.
        ImageError: an image that cannot be read.
    """
    require_folder(root)
    names = image_files(root)
    if not {_split_of(root.absolute()), _split_of(root.resolve())} <= {"train", None}:
        raise _refused(root)
    known: dict[Path, list[Mapping[str, Any]]] = {}
    for path, about in _described(root):
        known.setdefault(path, []).append(about)
    chosen, groups = [], []
    for name in names:
        said = known.get((root / name).resolve(), [])
        part = next((SPLIT_FOLDERS[it.lower()] for it in name.split("/")[:-1] if it.lower() in SPLIT_FOLDERS), None)
        splits = {part, *(about.get("split") for about in said)}
        if splits <= {"train", None} and all(about.get("image", True) for about in said):
            chosen.append(name)
            groups.append(next((str(about["group"]) for about in said if "group" in about), name))
    if not chosen:
        raise _refused(root)
    return _halves(root, chosen, groups, size, count, seed, len(names) - len(chosen))


def _split_of(folder: Path) -> str | None:
    """The split that the end of a path names; the part nearest to the end counts."""
    parts = (part.lower() for part in reversed(folder.parts[-NEAR:]))
    return next((SPLIT_FOLDERS[part] for part in parts if part in SPLIT_FOLDERS), None)


def _refused(root: Path) -> TestDomainError:
    return TestDomainError(
        "holds validation or test images only",
        where=root,
        remedy="give images of the train split, or a folder of pictures that belong to no split",
    )


def _halves(
    root: Path, names: list[str], groups: list[str], size: tuple[int, int] | None, count: int, seed: int, left_out: int
) -> Halves:
    rng = np.random.default_rng(seed)
    order = rng.permutation(sorted(set(groups)))
    half_of = {str(group): i % 2 for i, group in enumerate(order)}
    parts: list[list[str]] = [[], []]
    for i in rng.permutation(len(names)):
        part = parts[half_of[groups[i]]]
        if len(part) < (count + 1) // 2:
            part.append(names[i])
    if min(len(part) for part in parts) < FEWEST:
        raise DataError(
            f"{len(names)} usable images in {len(order)} groups cannot be halved into twice {FEWEST}",
            where=root,
            remedy="collect more pictures; a few dozen will do",
        )
    if size is None:
        height, width, _ = decode(read_bytes(root / names[0]), root / names[0]).shape
        size = height, width
    fit, judge = (
        np.stack([resize(decode(read_bytes(root / name), root / name), size, "crop") for name in sorted(part)])
        for part in parts
    )
    return Halves(fit, judge, left_out)


def _described(root: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Split and group by absolute path, from every description at the folder or below it, and the nearest above.

    Masks and other maps that a description names are marked as no images.
    """
    for name in DESCRIPTIONS:
        for path in root.rglob(name):
            yield from _rows(path)
    home, inside = Path.home().resolve(), root.resolve()
    for folder in inside.parents:  # SET/images/rock/camera is part of SET, however deep it lies
        if folder == home:
            return
        found = [row for name in DESCRIPTIONS for row in _rows(folder / name)]
        yield from found
        if any(path.is_relative_to(inside) for path, _ in found):
            return


def _rows(path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """What one description says, by absolute path; nothing where it is missing or some other program's."""
    if not path.is_file():
        return
    folder = path.parent.resolve()
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
        else:
            files = yaml.safe_load(text).get("files")
            if not isinstance(files, Mapping):
                return
            rows = [{"file": name, **row} for name, row in files.items()]
        for row in rows:
            yield (folder / row["file"]).resolve(), {key: row[key] for key in ("split", "group") if row.get(key)}
            for part in ("mask", "instances", "depth", "normals"):
                if isinstance(row.get(part), str):
                    yield (folder / row[part]).resolve(), {"image": False}
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise DataError(
            f"cannot be read ({error}), so test images cannot be told from others", where=path, remedy="repair it"
        ) from error
