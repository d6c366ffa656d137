"""Folders of images as sources: one folder per class, or no classes at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perceptransfer.core.errors import ConfigError, DataError, LeakageError
from perceptransfer.data.files import FileSource, content_hash
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import WHITE, ResizeMode, one_of
from perceptransfer.data.label_files import PARTS
from perceptransfer.data.layout import Entry, class_entries, image_files, map_classes, pattern_groups, table_groups
from perceptransfer.data.splits import hold_out


class Folder(FileSource):
    """Images in one folder per class, with or without ``train``/``val``/``test`` folders above them.

    ``split``: ``subfolders`` takes the folders above the classes, ``group`` keeps whatever ``group_pattern`` (first
    parenthesis of a regular expression on the relative name) or ``groups_csv`` (columns ``file`` and ``group_column``)
    puts together in one part, ``random`` is stratified by class; ``auto`` is the first of these that applies.
    ``test_share`` and ``val_share`` are used by ``group`` and ``random``.
    """

    def __init__(
        self,
        path: str,
        split: Literal["auto", "subfolders", "group", "random"] = "auto",
        group_pattern: str | None = None,
        groups_csv: str | None = None,
        group_column: str = "group",
        class_map: dict[str, str | list[str]] | None = None,
        unmapped: Literal["error", "drop"] = "error",
        test_share: float = 0.3,
        val_share: float = 0.0,
        split_seed: int = 0,
        resize: ResizeMode = "squash",
        background: tuple[int, int, int] = WHITE,
        on_bad_image: Literal["error", "quarantine"] = "error",
        manifest: str | None = None,
        one_class: str | None = None,
    ) -> None:
        """Name the folder and how it is read.

        Args:
            path: the folder.
            split: where the parts come from.
            group_pattern: regular expression on the relative file name; its first parenthesis is the group.
            groups_csv: table with the columns ``file`` (relative name) and ``group_column``.
            group_column: column of ``groups_csv``.
            class_map: class folder → class, or class → list of class folders.
            unmapped: what to do with class folders that ``class_map`` does not name.
            test_share: share of the images for the test.
            val_share: share of the images for validation.
            split_seed: seed of the split, apart from all training seeds.
            resize: squash, crop or pad.
            background: colour under transparent pixels and beside padded images, RGB 0..255.
            on_bad_image: stop at an unreadable image, or leave it out and list it.
            manifest: file to verify the images against.
            one_class: class of all images, for tasks that need none; folders then say nothing but the split.
        """
        super().__init__(path, resize, background, on_bad_image, manifest)
        one_of("split", split, ("auto", "subfolders", "group", "random"))
        one_of("unmapped", unmapped, ("error", "drop"))
        self.split, self.split_seed, self.shares = split, split_seed, (test_share, val_share)
        self.group_pattern, self.group_column = group_pattern, group_column
        self.groups_csv = None if groups_csv is None else Path(groups_csv).expanduser()
        self.class_map, self.unmapped, self.one_class = class_map, unmapped, one_class
        if group_pattern is not None and groups_csv is not None:
            raise ConfigError("give group_pattern or groups_csv, not both", key="groups_csv")
        if split == "group" and group_pattern is None and groups_csv is None:
            raise ConfigError("a split by group needs group_pattern or groups_csv", key="split")

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of all names and contents, and of the table of groups, which decides the split."""
        extra = super().identity_extra()
        return extra if self.groups_csv is None else {**extra, "groups": content_hash(self.groups_csv)}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images.

        Raises:
            DataError: missing, empty, or a layout that is not one; fewer than two classes; a split that loses a class.
            LeakageError: a group that stands in two parts.
            ImageError: an unreadable image, unless quarantined.
            ConfigError: a class map that does not fit the folders.
        """
        entries = class_entries(self.path, self.one_class)
        if self.class_map is not None:
            entries = map_classes(entries, self.class_map, self.unmapped, self.path)
        classes = sorted({str(entry.label) for entry in entries})
        if len(classes) < 2 and self.one_class is None:
            raise DataError(
                f"holds only one class, {classes}", where=self.path, remedy="give one folder per class, or one_class"
            )
        names = [entry.name for entry in entries]
        groups = None
        if self.group_pattern is not None:
            groups = pattern_groups(names, self.group_pattern)
        elif self.groups_csv is not None:
            groups = table_groups(names, self.groups_csv, self.group_column)
        return self.image_set(self._split(entries, classes, groups), classes, groups, size)

    def _split(self, entries: list[Entry], classes: list[str], groups: list[str] | None) -> list[Entry]:
        in_folders = entries[0].split is not None
        if self.split == "subfolders" and not in_folders:
            raise DataError("has no train, val or test folders", where=self.path, key="split")
        if in_folders and self.split in ("auto", "subfolders"):
            if groups is not None:
                _refuse_torn(entries, groups, self.path)
            return entries
        labels = np.array([classes.index(str(entry.label)) for entry in entries], dtype=np.int64)
        kept = None if self.split == "random" else groups
        parts = hold_out(labels, self.shares, self.split_seed, kept, classes=classes)
        return [Entry(entry.name, PARTS[part], entry.label) for entry, part in zip(entries, parts, strict=True)]


def _refuse_torn(entries: Sequence[Entry], groups: Sequence[str], root: Path) -> None:
    first: dict[str, Entry] = {}
    for entry, group in zip(entries, groups, strict=True):
        other = first.setdefault(group, entry)
        if (other.split == "test") != (entry.split == "test"):
            raise LeakageError(
                f"group {group!r} stands in {other.split} ({other.name}) and in {entry.split} ({entry.name})",
                where=root,
                key="split",
                remedy='set split to "group" to split anew, or move the files',
            )


class UnlabeledFolder(FileSource):
    """All images below a folder, whatever its subfolders; nothing is known of their classes."""

    def __init__(
        self,
        path: str,
        resize: ResizeMode = "squash",
        background: tuple[int, int, int] = WHITE,
        on_bad_image: Literal["error", "quarantine"] = "error",
        manifest: str | None = None,
    ) -> None:
        """Name the folder; the arguments are those of `Folder`."""
        super().__init__(path, resize, background, on_bad_image, manifest)

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images.

        Raises:
            DataError: missing or empty.
            ImageError: an unreadable image, unless quarantined.
        """
        entries = [Entry(name, None, None) for name in image_files(self.path)]
        return self.image_set(entries, (), None, size)
