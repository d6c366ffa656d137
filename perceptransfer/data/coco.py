"""Sets in COCO's layout: boxes, masks and keypoints of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError, DataError, LeakageError
from perceptransfer.core.features import KEYPOINTS, MASK
from perceptransfer.core.files import sha256_file
from perceptransfer.data.coco_file import CocoFile, Thing, read_coco
from perceptransfer.data.crop import Box, CropReader, around, crop_map, crop_points, hide_outside, require_margin, whole
from perceptransfer.data.files import FileSource, Reader
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import WHITE, one_of
from perceptransfer.data.label_files import check_size, image_size, named_classes, split_up
from perceptransfer.data.layout import SPLIT_FOLDERS, Entry
from perceptransfer.data.targets import IGNORE, Array, Targets


@dataclass(frozen=True)
class _Picture:
    """One image of the set: an object, or the largest of a whole picture, beside all things in that picture."""

    entry: Entry
    group: str
    thing: Thing
    beside: tuple[Thing, ...]
    of: tuple[int, int]
    file: CocoFile


class Coco(FileSource):
    """Images below ``path`` with annotations in COCO's JSON.

    ``crop: object`` makes an image of each object: ``margin`` times its box, the class that of its category, the mask
    background and object; what lies beyond the picture is ignored. ``none`` makes one of each picture that has an
    object: the mask holds background and all classes, smaller objects before larger ones, class and keypoints are those
    of the largest object. Crowds are ignored pixels. Masks are read where every object has a segmentation, keypoints
    where the categories have one list of names; under mirroring they change places as ``info.keypoint_flip`` says,
    or those whose names differ in left and right. Keypoints out of the picture count as not labelled.
    """

    NOT_IDENTITY = FileSource.NOT_IDENTITY | {"annotations"}

    def __init__(
        self,
        path: str,
        annotations: str | dict[str, str],
        class_map: dict[str, str] | None = None,
        unmapped: Literal["error", "drop"] = "error",
        crop: Literal["object", "none"] = "object",
        margin: float = 1.2,
        smallest: float = 8.0,
        test_share: float = 0.0,
        split_seed: int = 0,
        on_bad_image: Literal["error", "quarantine"] = "error",
        manifest: str | None = None,
    ) -> None:
        """Name folder and files.

        Args:
            path: folder below which the images lie.
            annotations: the JSON file, or one for each of train, val and test.
            class_map: category to class; by default every category is a class.
            unmapped: what to do with objects of categories that ``class_map`` does not name.
            crop: an image of each object, or of each picture.
            margin: side of a crop relative to what its box needs.
            smallest: longer side in pixels below which objects are left out.
            test_share: share of the pictures for the test, where one file holds all.
            split_seed: seed of that split, apart from all training seeds.
            on_bad_image: stop at an unreadable image, or leave it out and list it.
            manifest: file to verify the images against.
        """
        super().__init__(path, "squash", WHITE, on_bad_image, manifest)
        one_of("unmapped", unmapped, ("error", "drop"))
        one_of("crop", crop, ("object", "none"))
        require_margin(margin)
        given = {"": annotations} if isinstance(annotations, str) else annotations
        for part in given:
            if part and part not in SPLIT_FOLDERS.values():
                raise ConfigError(f"unknown part {part!r}", key="annotations", remedy="use train, val and test")
        self.annotations = {part: Path(file).expanduser() for part, file in given.items()}
        self.class_map, self.unmapped, self.crop, self.margin = class_map, unmapped, crop, margin
        self.smallest, self.test_share, self.split_seed = smallest, test_share, split_seed

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of the annotations and of every image that they name."""
        if self._content is None:
            files = [read_coco(path) for path in self.annotations.values()]
            names = sorted({name for file in files for name, _, _ in file.images.values()})
            hashes = [[name, sha256_file(self.path / name)] for name in names if (self.path / name).is_file()]
            parts = [[part, sha256_file(path)] for part, path in sorted(self.annotations.items())]
            self._content = digest([parts, hashes])
        return {"content": self._content}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images and labels.

        Raises:
            DataError: damaged annotations, no object left, labels that do not fit.
            ConfigError: a class map that does not fit the categories.
            ImageError: an unreadable image, unless quarantined.
        """
        pictures, class_of = self._pictures()
        entries = [it.entry for it in pictures]
        if self.test_share and None in {entry.split for entry in entries}:
            entries = split_up(entries, [it.group for it in pictures], self.test_share, self.split_seed)
        names = tuple(entry.name for entry in entries)
        boxes = [self._box(it, size) for it in pictures]
        reader = Reader(self.path, names, size, "squash", WHITE)
        if self.crop == "object":
            reader = CropReader(self.path, names, size, "squash", WHITE, boxes=tuple(boxes))
        # Many files declare categories of which they have no object; a class that the user names must have one.
        classes = sorted({str(entry.label) for entry in entries} if self.class_map is None else set(class_of.values()))
        images = self.image_set(entries, classes, [it.group for it in pictures], size, reader=reader)
        found = {it.entry.name: (it, box) for it, box in zip(pictures, boxes, strict=True)}
        return images.with_targets(self._targets([found[record.name] for record in images.records], class_of, size))

    def _pictures(self) -> tuple[list[_Picture], dict[str, str]]:
        """What becomes an image, in the order of the files' images, and the class of each category."""
        files = {part: read_coco(path) for part, path in self.annotations.items()}
        first = next(iter(files.values())).path
        found = [name for file in files.values() for name in file.categories]
        class_of = named_classes(found, self.class_map, self.unmapped, first)
        pictures = []
        for part, file in files.items():
            things: dict[Any, list[Thing]] = {}
            for thing in file.things:
                things.setdefault(thing.image, []).append(thing)
            for image, (name, height, width) in sorted(file.images.items(), key=lambda item: item[1]):
                inside = tuple(sorted(things.get(image, ()), key=lambda thing: -thing.area))
                kept = [it for it in inside if not it.crowd and it.category in class_of]
                kept = [it for it in kept if max(it.box[2:]) >= self.smallest and it.area > 0]
                for number, thing in enumerate(kept if self.crop == "object" else kept[:1]):
                    tail = f"#{number}" if self.crop == "object" else ""
                    entry = Entry(name + tail, part or None, class_of[thing.category])
                    pictures.append(_Picture(entry, name, thing, inside, (height, width), file))
        if not pictures:
            raise DataError(
                "no object is left", where=first, key="annotations", remedy="lower smallest, or map more categories"
            )
        twice = [name for name, count in Counter(it.entry.name for it in pictures).items() if count > 1]
        if twice:
            raise LeakageError(
                f"{twice[0]} stands in two parts", where=self.path, key="annotations", remedy="give it to one of them"
            )
        return pictures, class_of

    def _box(self, it: _Picture, size: tuple[int, int]) -> Box:
        return around(*it.thing.box, self.margin, size) if self.crop == "object" else whole(it.of)

    def _targets(
        self, pictures: Sequence[tuple[_Picture, Box]], class_of: Mapping[str, str], size: tuple[int, int]
    ) -> Targets:
        arrays: dict[str, Array] = {}
        objects = ["object"] if self.crop == "object" else sorted(set(class_of.values()))
        for name, of, where in {(it.group, it.of, it.file.path) for it, _ in pictures}:
            real = image_size(self.path / name)
            check_size(np.empty(of), real, where, f"annotated size of {name}")
        shown = [thing for it, _ in pictures for thing in it.beside if thing.crowd or thing.category in class_of]
        if all(thing.segmentation for thing in shown):
            masks = [self._mask(it, class_of, objects) for it, _ in pictures]
            arrays[MASK] = np.stack(
                [crop_map(mask, box, size, IGNORE) for mask, (_, box) in zip(masks, pictures, strict=True)]
            )
        names = self._keypoint_names([it for it, _ in pictures])
        if names:
            arrays[KEYPOINTS] = np.stack([_keypoints(it.thing, len(names), box, size) for it, box in pictures])
        mask_classes = ("background", *objects) if MASK in arrays else ()
        flips = {file.flip(names) for file in {it.file.path: it.file for it, _ in pictures}.values()}
        if len(flips) > 1:
            raise DataError("the files disagree on mirrored keypoints", where=self.path, key="info.keypoint_flip")
        return Targets(arrays, mask_classes, names, flips.pop())

    def _mask(self, it: _Picture, class_of: Mapping[str, str], objects: list[str]) -> Array:
        mask = np.zeros(it.of, np.uint8)
        for thing in it.beside:
            if thing.crowd:
                mask[thing.mask(it.of, it.file.path)] = IGNORE
        if self.crop == "object":
            mask[it.thing.mask(it.of, it.file.path)] = 1
            return mask
        for thing in it.beside:  # the larger ones first
            if not thing.crowd and thing.category in class_of:
                mask[thing.mask(it.of, it.file.path)] = 1 + objects.index(class_of[thing.category])
        return mask

    def _keypoint_names(self, pictures: Sequence[_Picture]) -> tuple[str, ...]:
        lists = {it.file.categories[it.thing.category] for it in pictures}
        if len(lists) > 1:
            if len(lists - {()}) > 1:
                raise DataError(
                    f"categories have different keypoints: {sorted(map(list, lists))}",
                    where=self.path,
                    key="class_map",
                    remedy="map the categories of one kind of keypoints only",
                )
            return ()
        return lists.pop()


def _keypoints(thing: Thing, count: int, box: Box, size: tuple[int, int]) -> NDArray[np.float32]:
    """``[1, K, 3]``; all not labelled where the object has none."""
    points = np.zeros((count, 3)) if thing.keypoints is None else thing.keypoints
    return hide_outside(crop_points(points, box, size), size)[None]
