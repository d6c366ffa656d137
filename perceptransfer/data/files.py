"""Reading many image files once: decoded in threads, hashed, quarantined, checked against a manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.core.files import sha256_file
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import MODES, ResizeMode, decode, one_of, read_bytes, resize
from perceptransfer.data.layout import Entry, image_files
from perceptransfer.data.manifest import Manifest
from perceptransfer.data.record import Pixels, Quarantined, Record
from perceptransfer.data.source import ImageSource

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
CACHE_BYTES = 2**30  # larger sets are decoded again whenever they are read


@dataclass(frozen=True)
class Reader:
    """Reads the i-th file at one size; a class, because a closure cannot be pickled."""

    root: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    mode: ResizeMode
    background: tuple[int, ...]
    grey: bool = False

    def __call__(self, index: int) -> Pixels:
        """Decode and resize."""
        return self.hashed(index)[1]

    def hashed(self, index: int) -> tuple[str, Pixels]:
        """The file's SHA-256 beside its image, from one reading.

        Raises:
            ImageError: the file cannot be read.
        """
        path = self.root / self.file(index)
        data = read_bytes(path)
        image = self.sized(decode(data, path, self.background), index)
        if self.grey:
            image = np.repeat(np.rint(image @ LUMA).astype(np.uint8)[..., None], 3, axis=2)
        return hashlib.sha256(data + self.what(index).encode()).hexdigest(), image

    def file(self, index: int) -> str:
        """Relative path of the i-th image's file."""
        return self.names[index]

    def sized(self, image: Pixels, index: int) -> Pixels:
        """The i-th image out of its decoded file."""
        return resize(image, self.size, self.mode, self.background)

    def what(self, index: int) -> str:
        """What else than the file's bytes says which image this is."""
        return ""

    def take(self, indices: list[int]) -> Reader:
        """Reader of some of the images."""
        return replace(self, names=tuple(self.names[i] for i in indices))


def content_hash(path: Path) -> str:
    """SHA-256 of a file that a source is made of.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error})", where=path, remedy="copy the set again, with all its files"
        ) from error


class FileSource(ImageSource):
    """What labelled and unlabelled folders share."""

    NOT_IDENTITY = frozenset({"path", "groups_csv", "manifest"})

    def __init__(
        self,
        path: str,
        resize: ResizeMode,
        background: tuple[int, int, int],
        on_bad_image: Literal["error", "quarantine"],
        manifest: str | None,
    ) -> None:
        self.path, self.mode, self.on_bad_image = Path(path).expanduser(), resize, on_bad_image
        self.manifest = None if manifest is None else Path(manifest).expanduser()
        one_of("resize", resize, MODES)
        one_of("on_bad_image", on_bad_image, ("error", "quarantine"))
        self.background = tuple(background)
        if len(self.background) != 3 or not all(0 <= channel <= 255 for channel in self.background):
            raise ConfigError(f"must be three numbers 0..255, got {list(self.background)}", key="background")
        self._content: str | None = None

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of all names and contents, because the path itself does not count."""
        if self._content is None:
            self._content = digest([[name, content_hash(self.path / name)] for name in image_files(self.path)])
        return {"content": self._content}

    def image_set(
        self,
        entries: Sequence[Entry],
        classes: Sequence[str],
        groups: Sequence[str] | None,
        size: tuple[int, int],
        grey: bool = False,
        reader: Reader | None = None,
    ) -> ImageSet:
        """Read all files; ``grey`` keeps their luminance only, ``reader`` is one that does more than resize.

        Raises:
            ImageError: one cannot be read, and it is not to be quarantined.
            DataError: no image is left, or none of a class; a file differs from the manifest.
        """
        if reader is None:
            reader = Reader(self.path, tuple(entry.name for entry in entries), size, self.mode, self.background, grey)
        hashes, pixels, quarantined = self._read(reader)
        kept = [i for i, sha in enumerate(hashes) if sha is not None]
        number = {name: i for i, name in enumerate(classes)}
        records = [
            Record(
                name=entries[i].name,
                sha256=str(hashes[i]),
                label=number.get(str(entries[i].label)),
                group=None if groups is None else groups[i],
                split=entries[i].split,
            )
            for i in kept
        ]
        lost = sorted(set(range(len(classes))) - {record.label for record in records if record.label is not None})
        if lost or not kept:
            what = f"no image of the classes {[classes[i] for i in lost]}" if lost else "none of the images"
            raise DataError(f"{what} can be read", where=self.path, key="path", remedy="replace the quarantined files")
        if self.manifest is not None:
            Manifest.read(self.manifest).check({record.name: record.sha256 for record in records}, self.path)
        return ImageSet(
            records,
            classes,
            size,
            pixels=None if pixels is None else pixels[kept] if quarantined else pixels,
            read=reader.take(kept) if pixels is None else None,
            preparation=f"{self.mode} {list(self.background)}" + " grey" * grey,
            quarantined=quarantined,
        )

    def _read(self, reader: Reader) -> tuple[list[str | None], Pixels | None, list[Quarantined]]:
        """Decode every file once: hashes (``None`` where unreadable), pixels unless too large, quarantine."""
        count = len(reader.names)
        keep = count * reader.size[0] * reader.size[1] * 3 <= CACHE_BYTES
        pixels = np.zeros((count, *reader.size, 3), np.uint8) if keep else None

        def read(index: int) -> str | ImageError:
            try:
                sha, image = reader.hashed(index)
            except ImageError as error:
                return error
            if pixels is not None:
                pixels[index] = image
            return sha

        hashes: list[str | None] = []
        quarantined = []
        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # Pillow decodes outside the interpreter lock
        try:
            for name, outcome in zip(reader.names, pool.map(read, range(count)), strict=True):
                if isinstance(outcome, ImageError):
                    if self.on_bad_image == "error":
                        raise outcome
                    quarantined.append(Quarantined(name, outcome.problem))
                hashes.append(outcome if isinstance(outcome, str) else None)
        finally:
            pool.shutdown(cancel_futures=True)  # so that an error or Ctrl-C does not wait for the files still queued
        return hashes, pixels, quarantined
