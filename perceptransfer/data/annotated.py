"""Image sets with masks, depth and keypoints, as `render` writes them and other tools can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.features import DEPTH, KEYPOINTS, MASK
from perceptransfer.data.annotation_rows import DESCRIPTION, ROWS, Row, focal_px, read_keypoints, read_rows
from perceptransfer.data.crop import crop_map, whole
from perceptransfer.data.files import FileSource, content_hash
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import WHITE, one_of
from perceptransfer.data.label_files import image_size, read_map, split_up
from perceptransfer.data.layout import Entry, map_classes
from perceptransfer.data.targets import IGNORE, Array, Targets

FORMAT = 1
KINDS = (MASK, DEPTH, KEYPOINTS)


class Annotated(FileSource):
    """A folder with ``dataset.json`` and ``annotations.jsonl``, one row an image: class, mask, depth, keypoints.

    ``classes`` chooses and orders classes (default: all of the set); ``labels`` the kinds of label that are read
    besides the class (default: those that every row has). ``count`` takes that many images, drawn evenly over the
    classes by a fixed seed. ``split`` takes rows of these splits only. ``grey`` shows luminance only, for the question
    of what colour is worth. ``mask`` is the set's own map of ``classes``, or ``label``: 1 where the image's own class
    is, 0 elsewhere. ``class_map`` renames classes before anything else, as class → class or class → list of classes,
    and drops those that it does not name. ``test_share`` puts that share of a set without splits into the test, whole
    groups at a time, by a fixed seed. Images are squashed to the data's size, labels with them: masks and depth by the
    nearest pixel. Keypoints out of the picture count as not labelled.

    ``canonical_focal_px`` turns depth into that of a camera of this focal length, in pixels of the data's size: depth
    times it over the image's own focal length, from the row's ``K``. A crop that is cut around an object shows neither
    how far away nor how much magnified it is, but their ratio (Yin et al., Metric3D, ICCV 2023). Metres of the scene
    are the prediction times the image's focal length over it; ``delta1`` and ``abs_rel`` are the same for both.
    """

    NOT_IDENTITY = FileSource.NOT_IDENTITY
    IF_GIVEN = frozenset({"test_share", "class_map", "canonical_focal_px"})

    def __init__(
        self,
        path: str,
        classes: list[str] | None = None,
        labels: list[str] | None = None,
        split: list[str] | None = None,
        count: int | None = None,
        grey: bool = False,
        mask: Literal["classes", "label"] = "classes",
        on_bad_image: Literal["error", "quarantine"] = "error",
        test_share: float | None = None,
        class_map: dict[str, str | list[str]] | None = None,
        canonical_focal_px: float | None = None,
    ) -> None:
        super().__init__(path, "squash", WHITE, on_bad_image, None)
        if labels is not None and not set(labels) <= set(KINDS):
            raise ConfigError(f"unknown kinds of label in {labels}", key="labels", remedy=f"known are {list(KINDS)}")
        if count is not None and count < 1:
            raise ConfigError(f"count must be positive, got {count}", key="count")
        if canonical_focal_px is not None and not 0 < canonical_focal_px < np.inf:
            raise ConfigError(f"must be a length in pixels, got {canonical_focal_px}", key="canonical_focal_px")
        one_of("mask", mask, ("classes", "label"))
        self.canonical_focal_px = canonical_focal_px
        self.mask, self.test_share, self.class_map = mask, test_share, class_map
        self.chosen, self.kinds, self.split, self.count, self.grey = classes, labels, split, count, grey

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of description, rows and of every file that a row names, because the path itself does not count.

        Raises:
            DataError: one of them is missing, or description or rows are damaged.
        """
        if self._content is None:
            rows = read_rows(self.path)
            names = [ROWS, *(str(row[key]) for row in rows for key in ("file", *KINDS[:2]) if key in row)]
            hashes = [[name, content_hash(self.path / name)] for name in names]
            # Of who rendered the pictures their own hashes tell all that counts.
            about = {key: value for key, value in self._about().items() if key != "rendering"}
            self._content = digest([about, *hashes])
        return {"content": self._content}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images and labels.

        Raises:
            DataError: missing or damaged description or rows, a file in two rows, a class that the description does not
                name, labels that do not fit their image, no image left.
            ImageError: an unreadable image, unless quarantined.
            ConfigError: a class map that names classes which are not there.
        """
        about, every = self._about(), read_rows(self.path)
        rows = every
        if self.class_map is not None:
            about, rows = self._renamed(about, rows, self.class_map)
        classes = [str(name) for name in (about["classes"] if self.chosen is None else self.chosen)]
        strange = sorted({str(row["label"]) for row in rows} - set(classes)) if self.chosen is None else []
        if strange:
            raise DataError(
                f"does not name the classes {strange} of rows in {ROWS}", where=self.path / DESCRIPTION, key="classes",
                remedy="name them there, or choose classes",
            )  # fmt: skip
        rows = [
            row for row in rows if row["label"] in classes and (self.split is None or row.get("split") in self.split)
        ]
        if not rows:
            raise DataError("no row is left", where=self.path, key="classes", remedy="widen classes or split")
        rows = self._some(rows, classes)
        groups = [str(row["group"]) for row in rows] if all("group" in row for row in rows) else None
        entries = [Entry(str(row["file"]), row.get("split"), str(row["label"])) for row in rows]
        if self.test_share and all(entry.split is None for entry in entries):
            entries = split_up(entries, groups or [entry.name for entry in entries], self.test_share, 0)
        images = self.image_set(entries, classes, groups, size, grey=self.grey)
        # With the labels that the masks have, not those of class_map.
        by_name = {str(row["file"]): row for row in every}
        return images.with_targets(self._targets(about, [by_name[r.name] for r in images.records], size))

    def _renamed(
        self, about: Mapping[str, Any], rows: list[Row], class_map: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], list[Row]]:
        entries = [Entry(str(row["file"]), None, str(row["label"])) for row in rows]
        label = {entry.name: entry.label for entry in map_classes(entries, class_map, "drop", self.path)}
        left: list[Row] = [{**row, "label": label[str(row["file"])]} for row in rows if str(row["file"]) in label]
        return {**about, "classes": sorted(set(map(str, label.values())))}, left

    def _some(self, rows: list[Row], classes: Sequence[str]) -> list[Row]:
        if self.count is None or self.count >= len(rows):
            return rows
        order = np.random.default_rng(0).permutation(len(rows))
        queues = [[int(i) for i in order if rows[int(i)]["label"] == name] for name in classes]
        taken: list[int] = []
        while len(taken) < self.count:
            taken += [queue.pop() for queue in queues if queue]
        return [rows[i] for i in sorted(taken[: self.count])]

    def _about(self) -> Mapping[str, Any]:
        path = self.path / DESCRIPTION
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about["format"] != FORMAT or not about["classes"]:
                raise ValueError(f"format {about['format']}, {len(about['classes'])} classes")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"is no description of format {FORMAT} ({error})", where=path, remedy="write the set again"
            ) from error
        return dict(about)

    def _targets(self, about: Mapping[str, Any], rows: Sequence[Row], size: tuple[int, int]) -> Targets:
        kinds = self.kinds if self.kinds is not None else [key for key in KINDS if all(key in row for row in rows)]
        arrays: dict[str, Array] = {}
        sizes = [image_size(self.path / str(row["file"])) for row in rows] if kinds else []
        for key in kinds:
            lacking = [row["file"] for row in rows if key not in row]
            if lacking:
                raise DataError(f"{len(lacking)} rows have no {key}, first {lacking[0]}", where=self.path, key=key)
            if key == KEYPOINTS:
                arrays[key] = read_keypoints(rows, sizes, size, len(about.get("keypoint_names") or ()), self.path)
            else:
                arrays[key] = np.stack([self._map(key, row, of, size) for row, of in zip(rows, sizes, strict=True)])
        names = {key: tuple(about.get(key) or ()) for key in ("mask_classes", "keypoint_names")}
        flip = about.get("keypoint_flip", ())
        if self.mask == "label" and MASK in arrays:
            arrays[MASK] = self._own(arrays[MASK], [str(row["label"]) for row in rows], names["mask_classes"])
            names["mask_classes"] = ("background", "object")
        flip = None if flip is None else tuple(flip)
        return Targets(arrays, **names, keypoint_flip=flip, canonical_focal_px=self.canonical_focal_px)

    def _own(self, masks: Array, labels: Sequence[str], names: Sequence[str]) -> Array:
        """1 where the mask shows the image's own class, 0 elsewhere; ignored pixels stay ignored."""
        unknown = sorted(set(labels) - set(names))
        if unknown:
            raise DataError(
                f"the masks have no classes {unknown}, only {list(names)}",
                where=self.path / DESCRIPTION,
                key="mask_classes",
                remedy='name them there, or set mask to "classes"',
            )
        index = np.array([names.index(label) for label in labels])[:, None, None]
        own: Array = np.where(masks == IGNORE, IGNORE, masks == index).astype(np.uint8)
        return own

    def _depth_scale(self, row: Row) -> float:
        scale = row.get("depth_scale")
        if not isinstance(scale, int | float) or not 0 < scale < np.inf:
            raise DataError(
                f"{row['file']} has the depth_scale {scale!r}", where=self.path / ROWS, key="depth_scale",
                remedy="write metres for each step of the depth image",
            )  # fmt: skip
        return float(scale)

    def _map(self, key: str, row: Row, of: tuple[int, int], size: tuple[int, int]) -> Array:
        path = self.path / str(row[key])
        values = read_map(path, key, of)
        if key == MASK and values.max(initial=0) > IGNORE:
            raise DataError(
                f"holds the value {values.max()}",
                where=path,
                key=key,
                remedy="a mask has classes 0..254, 255 is ignored",
            )
        if key == DEPTH:
            values = values * np.float32(self._depth_scale(row))
            if self.canonical_focal_px is not None:
                values = values * np.float32(self.canonical_focal_px / focal_px(row, of, size, self.path))
        return crop_map(values.astype(np.uint8 if key == MASK else np.float32), whole(of), size, 0)
