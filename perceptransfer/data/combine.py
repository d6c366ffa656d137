"""Several augmentations in a row, and pictures without colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data.augment import Augmentation, to_pixels, to_tensor
from perceptransfer.data.fast import LUMA
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.record import Pixels
from perceptransfer.data.source import ImageSource
from perceptransfer.data.targets import Targets


class Chain(Augmentation):
    """One augmentation after the other, each with random numbers of its own; between them values are rounded to 8 bits.

    Labels go through the same steps once, together with the pixels.

    Raises:
        ConfigError: no parts.
    """

    def __init__(self, parts: list[Augmentation]) -> None:
        """Take the parts in their order."""
        if not parts:
            raise ConfigError("a chain needs parts", key="parts", remedy="name at least one augmentation")
        self.parts = list(parts)

    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""
        return self.labelled(images, Targets(), seed)[0]

    def labelled(self, images: Pixels, targets: Targets, seed: int) -> tuple[Tensor, Targets]:
        """Augment a batch together with masks, depth and keypoints."""
        values = to_tensor(images)
        for number, part in enumerate(self.parts):
            pixels = images if number == 0 else to_pixels(values)
            own = derive_seed("chain", number, seed)
            values, targets = part.labelled(pixels, targets, own) if targets else (part(pixels, own), targets)
        return values, targets

    @property
    def moves(self) -> bool:
        return any(part.moves for part in self.parts)

    def ranges(self) -> Mapping[str, Any]:
        """Ranges of every part, by number and name."""
        return {f"{i}_{type(part).__name__}": dict(part.ranges()) for i, part in enumerate(self.parts)}


class Grayscale(Augmentation):
    """Brightness (0.299 R + 0.587 G + 0.114 B) in all three channels, for the share ``chance`` of the images."""

    def __init__(self, chance: float = 1.0) -> None:
        """Set how often.

        Raises:
            ConfigError: a chance outside 0..1.
        """
        if not 0 <= chance <= 1:
            raise ConfigError(f"chance {chance} is outside 0..1", key="chance", remedy="give a share from 0 to 1")
        self.chance = chance

    def __call__(self, images: Pixels, seed: int = 0) -> Tensor:
        """Augment a batch; with a chance of 1 the seed does not matter."""
        drawn = np.random.default_rng(seed).random((len(images), 1, 1, 1)) < self.chance
        return to_tensor(np.where(drawn, gray(images), images))

    def ranges(self) -> Mapping[str, Any]:
        """The chance."""
        return {"chance": self.chance}


class GrayscaleSource(ImageSource):
    """Another source with its colours taken away, training and test images alike: what is left without colour."""

    def __init__(self, source: ImageSource) -> None:
        """Name the source of the coloured images."""
        self.source = source

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images. Raises as the source does."""
        return self.source.load(size).changed(gray, "gray")

    def ranges(self) -> Mapping[str, Any]:
        """Those of the source."""
        return self.source.ranges()


def gray(images: Pixels) -> Pixels:
    """Brightness ``uint8 [..., H, W, 3]``, rounded, in all three channels."""
    value = np.rint(images.astype(np.float32) @ LUMA).astype(np.uint8)
    return np.repeat(value[..., None], 3, axis=-1)
