"""Images with one mask file each in a parallel folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.core.config import digest, identity_of
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.features import MASK
from perceptransfer.core.files import sha256_file
from perceptransfer.data.crop import crop_map, shown
from perceptransfer.data.folder import Folder
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.label_files import image_size, read_map
from perceptransfer.data.layout import image_files, require_folder
from perceptransfer.data.source import ImageSource
from perceptransfer.data.targets import IGNORE, Array, Targets

ENDINGS = (".png", ".bmp", ".tif", ".tiff", ".pgm", ".gif")  # without loss: a JPEG invents indices


class MaskFolder(ImageSource):
    """The images of a `Folder`, and for ``a/b.jpg`` the mask ``a/b.png`` (or another lossless kind) below ``masks``.

    A mask has one whole number a pixel: ``mask_values[i]`` stands for ``mask_classes[i]`` (default: i itself), 255 for
    pixels to be ignored unless it is one of the values. 1-bit masks hold 0 and 1.
    """

    NOT_IDENTITY = frozenset({"images", "masks"})  # a string would be a path

    def __init__(
        self,
        images: Folder | str,
        masks: str,
        mask_classes: list[str] | None = None,
        mask_values: list[int] | None = None,
    ) -> None:
        """Name both folders.

        Args:
            images: folder of images, with one folder per class or with ``one_class``; a string is its path.
            masks: folder of masks.
            mask_classes: names of the mask's classes; by default background and object.
            mask_values: value of each mask class in the files.
        """
        self.images = Folder(images) if isinstance(images, str) else images
        self.masks = Path(masks).expanduser()
        self.mask_classes = tuple(mask_classes or ("background", "object"))
        self.mask_values = list(range(len(self.mask_classes))) if mask_values is None else list(mask_values)
        right = len(set(self.mask_values)) == len(self.mask_values) == len(self.mask_classes)
        if not right or not all(0 <= value <= 255 for value in self.mask_values):
            raise ConfigError(
                f"values {self.mask_values} for the classes {list(self.mask_classes)}",
                key="mask_values",
                remedy="give every mask class a value of its own in 0..255",
            )
        self._content: str | None = None

    def identity_extra(self) -> Mapping[str, Any]:
        """Identity of the images' source and digest of all mask files."""
        if self._content is None:
            self._content = digest([[name, sha256_file(self.masks / name)] for name in image_files(self.masks)])
        return {"images": identity_of(self.images), "content": self._content}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images and masks.

        Raises:
            DataError: as `Folder`; a mask that is missing, unreadable, of another size, or holds an unknown value.
        """
        require_folder(self.masks)
        images = self.images.load(size)
        masks = [self._mask(record.name, size) for record in images.records]
        return images.with_targets(Targets({MASK: np.stack(masks)}, self.mask_classes))

    def _mask(self, name: str, size: tuple[int, int]) -> Array:
        path = _beside(self.masks / name)
        of = image_size(self.images.path / name)
        values = read_map(path, MASK, of)
        found = self._table()[np.minimum(values.astype(np.int64), 256)]
        if (found < 0).any():
            wrong = sorted({int(value) for value in values[found < 0]})
            raise DataError(
                f"holds the values {wrong[:5]}, known are {self.mask_values} and {IGNORE} for ignored pixels",
                where=path,
                key="mask_values",
                remedy="name the values of the mask classes, in their order",
            )
        return crop_map(found.astype(np.uint8), shown(self.images.mode, of, size), size, IGNORE)

    def _table(self) -> Array:
        """Class of every value 0..255 and, at the end, of all larger ones; -1 where there is none."""
        table = np.full(257, -1)
        table[IGNORE] = IGNORE
        for index, value in enumerate(self.mask_values):
            table[value] = index
        return table


def _beside(path: Path) -> Path:
    candidates: Sequence[Path] = [path.with_suffix(ending) for ending in ENDINGS]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise DataError(
            "image has no mask", where=candidates[0], key="masks",
            remedy="give every image a mask of its name, or remove the image",
        )  # fmt: skip
    return found
