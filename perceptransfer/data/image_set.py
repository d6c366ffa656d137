"""Images of one size with what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import digest
from perceptransfer.core.errors import DataError
from perceptransfer.data.record import Indices, Pixels, Quarantined, Record
from perceptransfer.data.targets import Targets


class ImageSet:
    """Images of one size, with their records and, where they are known, masks, depth and keypoints.

    The pixels stand in one array ``[n, H, W, 3]``, or, when that would be too large, are read one by one through
    ``read``, which must survive pickling to reach the workers of a data loader.
    """

    def __init__(
        self,
        records: Sequence[Record],
        classes: Sequence[str],
        size: tuple[int, int],
        *,
        pixels: Pixels | None = None,
        read: Callable[[int], Pixels] | None = None,
        preparation: str = "",
        quarantined: Sequence[Quarantined] = (),
        targets: Targets | None = None,
    ) -> None:
        """Take ``size`` as (height, width) and ``preparation`` as whatever else decided the pixels.

        Raises:
            DataError: pixels or targets that do not fit records and size, or a label without a class.
        """
        self.records, self.classes, self.size = tuple(records), tuple(classes), (int(size[0]), int(size[1]))
        self.preparation, self.quarantined = preparation, tuple(quarantined)
        self._pixels, self._read = pixels, read
        self.targets = Targets() if targets is None else targets
        self.targets.check(len(self.records), self.size, names=[record.name for record in self.records])
        if (pixels is None) == (read is None):
            raise DataError("an ImageSet needs either pixels or read, not both and not neither")
        expected = (len(self.records), *self.size, 3)
        if pixels is not None and (pixels.shape != expected or pixels.dtype != np.uint8):
            raise DataError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 {expected}")
        for record in self.records:
            if record.label is not None and not 0 <= record.label < len(self.classes):
                raise DataError(f"label {record.label} has no class among {list(self.classes)}", where=record.name)

    @classmethod
    def from_arrays(
        cls,
        pixels: Pixels,
        labels: Sequence[int] | NDArray[np.int64] | None,
        classes: Sequence[str],
        *,
        names: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        preparation: str = "",
        targets: Targets | None = None,
    ) -> ImageSet:
        """Make a set of pixels ``[n, H, W, 3]`` that have no files; ``None`` leaves that column empty."""
        records = [
            Record(
                name=names[i] if names is not None else f"{i:06d}",
                sha256=hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(),
                label=int(labels[i]) if labels is not None else None,
                group=groups[i] if groups is not None else None,
                split=splits[i] if splits is not None else None,
            )
            for i, image in enumerate(pixels)
        ]
        return cls(records, classes, pixels.shape[1:3], pixels=pixels, preparation=preparation, targets=targets)

    def __len__(self) -> int:
        return len(self.records)

    def image(self, index: int) -> Pixels:
        """One image, ``uint8 [H, W, 3]``."""
        if self._pixels is not None:
            image: Pixels = self._pixels[index]
            return image
        assert self._read is not None  # the constructor takes exactly one of the two
        return self._read(index)

    def images(self, indices: Indices) -> Pixels:
        """Several images, ``uint8 [n, H, W, 3]``, a copy."""
        chosen = np.asarray(indices, dtype=np.int64)
        if self._pixels is not None:
            return self._pixels[chosen]
        if not len(chosen):
            return np.zeros((0, *self.size, 3), np.uint8)
        return np.stack([self.image(int(i)) for i in chosen])

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every image, ``int64 [n]``.

        Raises:
            DataError: an image without a label.
        """
        for record in self.records:
            if record.label is None:
                raise DataError("image has no label", where=record.name, remedy="use this source as unlabeled only")
        return np.array([record.label for record in self.records], dtype=np.int64)

    def stripped(self, classes: Sequence[str] | None = None) -> ImageSet:
        """The same images without any labels, and without names, which often hold the class; pixels are shared.

        ``classes`` are those that a model shall predict on them; by default the set's own.
        """
        records = [Record(name=record.sha256[:16], sha256=record.sha256, group=record.group) for record in self.records]
        return self._like(records, self._pixels, self._read, classes)

    def with_targets(self, targets: Targets) -> ImageSet:
        """The same images with masks, depth or keypoints.

        Raises:
            DataError: targets that do not fit the images.
        """
        return ImageSet(
            self.records,
            self.classes,
            self.size,
            pixels=self._pixels,
            read=self._read,
            preparation=self.preparation,
            quarantined=self.quarantined,
            targets=targets,
        )

    def take(self, indices: Indices) -> ImageSet:
        """Some of the images as a set of its own; pixels are copied, so that nothing else stays reachable."""
        chosen = [int(i) for i in indices]
        records, targets = [self.records[i] for i in chosen], self.targets.take(chosen)
        if self._pixels is not None:
            return self._like(records, self._pixels[np.asarray(chosen, dtype=np.int64)], None, targets=targets)
        assert self._read is not None  # the constructor takes exactly one of the two
        return self._like(records, None, _Chosen(self._read, tuple(chosen)), targets=targets)

    def changed(self, change: Callable[[Pixels], Pixels], name: str) -> ImageSet:
        """The same images and labels with other pixels of the same size; ``name`` identifies ``change``."""
        return ImageSet(
            self.records,
            self.classes,
            self.size,
            pixels=None if self._pixels is None else change(self._pixels),
            read=None if self._read is None else _Changed(self._read, change),
            preparation=f"{self.preparation} {name}",
            quarantined=self.quarantined,
            targets=self.targets,
        )

    def _like(
        self,
        records: Sequence[Record],
        pixels: Pixels | None,
        read: Callable[[int], Pixels] | None,
        classes: Sequence[str] | None = None,
        targets: Targets | None = None,
    ) -> ImageSet:
        known = self.classes if classes is None else classes
        return ImageSet(
            records, known, self.size, pixels=pixels, read=read, preparation=self.preparation, targets=targets
        )

    def digest(self, indices: Indices | None = None, *, labels: bool = True) -> str:
        """Identity of all or some images in order: content, class, group, split, size and preparation; not paths.

        ``labels=False`` leaves classes out, for a domain that does not see them.
        """
        chosen = range(len(self)) if indices is None else [int(i) for i in indices]
        rows = []
        for i in chosen:
            record = self.records[i]
            known = labels and record.label is not None
            rows.append([record.sha256, self.classes[record.label or 0] if known else None, record.group, record.split])
        return digest(
            {
                "rows": rows,
                "classes": list(self.classes) if labels else None,
                "size": list(self.size),
                "preparation": self.preparation,
            }
        )


@dataclass(frozen=True)
class _Chosen:
    """Reads the i-th of the chosen images; a class, because a closure cannot be pickled."""

    read: Callable[[int], Pixels]
    indices: tuple[int, ...]

    def __call__(self, index: int) -> Pixels:
        return self.read(self.indices[index])


@dataclass(frozen=True)
class _Changed:
    """Reads an image and changes it."""

    read: Callable[[int], Pixels]
    change: Callable[[Pixels], Pixels]

    def __call__(self, index: int) -> Pixels:
        return self.change(self.read(index))
