"""What stages read: images of one role with exactly the labels that the role may see."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import digest
from perceptransfer.core.errors import DataError
from perceptransfer.core.features import LABEL
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.record import Indices, Pixels
from perceptransfer.data.targets import Array, Targets

Role = Literal["synthetic", "synthetic_val", "unlabeled", "device", "labeled", "val", "test"]


class Domain:
    """Images of one role, with their labels unless the role has none.

    The labels that the role does not see are not stored in it: what it holds of the image set is stripped.
    ``fingerprint`` identifies content, groups, size and visible labels.
    """

    def __init__(
        self,
        role: Role | str,
        images: ImageSet,
        indices: Indices | None = None,
        labels: Indices | None = None,
        targets: Targets | None = None,
    ) -> None:
        """Take some (default: all) ``images``; ``labels`` and ``targets`` belong to the chosen ones.

        ``None`` stands for a role without. The image set's own targets are left behind, like its labels.

        Raises:
            DataError: another number of labels than images, or a label outside the classes.
        """
        self.role, self.classes, self.size = role, images.classes, images.size
        chosen = np.arange(len(images)) if indices is None else np.asarray(indices, dtype=np.int64)
        self._images, self._indices = images.stripped(), chosen
        self._labels = None if labels is None else np.array(labels, dtype=np.int64)
        self.groups: tuple[str | None, ...] = tuple(images.records[int(i)].group for i in chosen)
        if self._labels is not None:
            if self._labels.shape != chosen.shape:
                raise DataError(f"{len(chosen)} images but labels of shape {self._labels.shape}", where=role)
            if len(chosen) and not 0 <= self._labels.min() <= self._labels.max() < len(self.classes):
                raise DataError(f"labels must be 0..{len(self.classes) - 1}", where=role)
        self._targets = Targets() if targets is None else targets
        self._targets.check(len(chosen), self.size, str(role))
        named = None if self._labels is None else [self.classes[i] for i in self._labels]
        dense = [self._targets.digest()] if self._targets else []
        self.fingerprint = digest([list(self.classes), self._images.digest(chosen), named, *dense])

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def has_labels(self) -> bool:
        """Whether `labels` may be read."""
        return self._labels is not None

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every image, ``int64 [n]``, a copy.

        Raises:
            DataError: this role has no labels.
        """
        if self._labels is None:
            raise DataError("this domain has no labels", where=self.role, remedy="use a stage that reads no labels")
        return self._labels.copy()

    @property
    def targets(self) -> Targets:
        """Masks, depth and keypoints of this domain's images; empty for a role without labels."""
        return self._targets

    def target(self, key: str) -> Array:
        """Labels of one kind: ``label``, ``mask``, ``depth`` or ``keypoints``, as `Targets` has them, a copy.

        Raises:
            DataError: this domain has no such labels.
        """
        if key == LABEL:
            return self.labels
        if key not in self.targets.arrays:
            raise DataError(
                f"this domain has no labels of the kind {key!r}, only {[LABEL, *self.targets.arrays]}",
                where=self.role,
                key=key,
                remedy="give a source with such labels, or leave out the task that needs them",
            )
        return self.targets.arrays[key].copy()

    def images(self, indices: Indices) -> Pixels:
        """Images by their position in this domain, ``uint8 [n, H, W, 3]``, a copy."""
        return self._images.images(self._indices[np.asarray(indices, dtype=np.int64)])

    @property
    def hashes(self) -> tuple[str, ...]:
        """Content hash of every image, by which images of two domains can be compared."""
        return tuple(self._images.records[int(i)].sha256 for i in self._indices)

    def subset(self, indices: Indices) -> Domain:
        """Some of the images, with their labels where the role has any."""
        kept = np.asarray(indices, dtype=np.int64)
        labels = None if self._labels is None else self._labels[kept]
        return Domain(self.role, self._images, self._indices[kept], labels, self._targets.take(kept))

    def with_labels(
        self,
        labels: Indices | None,
        indices: Indices | None = None,
        role: str = "pseudo",
        targets: Targets | None = None,
    ) -> Domain:
        """The same images, or those at ``indices``, with other labels (or none), such as a teacher's predictions."""
        kept = self._indices if indices is None else self._indices[np.asarray(indices, dtype=np.int64)]
        return Domain(role, self._images, kept, labels, targets)
