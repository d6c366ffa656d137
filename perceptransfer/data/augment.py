"""Augmentations as configuration: none, weak and strong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import fast, recipes
from perceptransfer.data.images import one_of
from perceptransfer.data.record import Pixels
from perceptransfer.data.targets import Targets
from perceptransfer.data.view import View

Engine = Literal["fast", "albumentations"]


def to_tensor(images: Pixels) -> Tensor:
    """Turn ``uint8 [n, H, W, 3]`` into ``float32 [n, 3, H, W]`` in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(255.0)


def to_pixels(images: Tensor) -> Pixels:
    """Turn ``float32 [n, 3, H, W]`` in 0..1 into ``uint8 [n, H, W, 3]``, rounded."""
    return np.ascontiguousarray(np.rint(images.numpy().transpose(0, 2, 3, 1) * 255.0).astype(np.uint8))


class Augmentation(Configurable, ABC):
    """Turns a batch ``uint8 [n, H, W, 3]`` into ``float32 [n, 3, H, W]`` in 0..1; equal seeds give equal bits."""

    @abstractmethod
    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""

    def labelled(self, images: Pixels, targets: Targets, seed: int) -> tuple[Tensor, Targets]:
        """Augment a batch together with masks, depth and keypoints.

        The images are those that a plain call gives. An augmentation that moves things in the picture must override
        this; here the labels stay as they are.
        """
        return self(images, seed), targets

    @property
    def moves(self) -> bool:
        """Whether things change their place in the picture; then `labelled` is overridden."""
        return False

    def ranges(self) -> Mapping[str, Any]:
        """Randomised variables and their ranges, for the ledger."""
        return {}


class NoAugmentation(Augmentation):
    """The images as they are, for evaluation."""

    def __call__(self, images: Pixels, seed: int = 0) -> Tensor:
        """Convert a batch; the seed does not matter."""
        return to_tensor(images)


class _Ranged(Augmentation):
    """An augmentation that is a table of ranges."""

    def __init__(self, table: recipes.Ranges, strength: float, flip: bool, engine: Engine, changed: Any) -> None:
        if not 0.0 <= strength <= 4.0:
            raise ConfigError(f"strength must be in 0..4, got {strength}", key="strength")
        one_of("engine", engine, ("fast", "albumentations"))
        self.table, self.flip, self.engine = recipes.scaled(table, strength), flip, engine
        for name, limits in (changed or {}).items():
            if name not in table:
                raise ConfigError(f"unknown variable {name!r}", key="ranges", remedy=f"known are {sorted(table)}")
            if len(limits) != 2 or not limits[0] <= limits[1]:
                raise ConfigError(f"{name} needs [low, high], got {limits}", key="ranges")
            self.table[name] = (float(limits[0]), float(limits[1]))

    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""
        if self.engine == "albumentations":
            from perceptransfer.data import transforms  # its import takes seconds, and the fast engine needs none of it

            return to_tensor(transforms.augment(images, self.table, recipes.CHANCE, self.flip, seed))
        return self._fast(images, seed)[0]

    def labelled(self, images: Pixels, targets: Targets, seed: int) -> tuple[Tensor, Targets]:
        """Augment a batch together with masks, depth and keypoints.

        Raises:
            ConfigError: the engine is albumentations, which would have to be told each kind of label.
        """
        if self.engine == "albumentations":
            raise ConfigError(
                "masks, depth and keypoints are moved by the fast engine only", key="engine", remedy='set it to "fast"'
            )
        values, view = self._fast(images, seed)
        return values, view.targets(targets)

    def _fast(self, images: Pixels, seed: int) -> tuple[Tensor, View]:
        rng = np.random.default_rng(seed)
        values, view = fast.augment(images, self.table, recipes.CHANCE, self.flip, rng)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2))), view

    @property
    def moves(self) -> bool:
        return self.flip or any(self.table.get(name, (0.0, 0.0)) != (0.0, 0.0) for name in recipes.PLACES)

    def ranges(self) -> Mapping[str, Any]:
        """Limits and the chance of every step."""
        chances = {f"{name}_chance": recipes.CHANCE[name] for name in self.table if name in recipes.CHANCE}
        return {**{name: list(limits) for name, limits in self.table.items()}, **chances, "flip": self.flip}


class WeakAugmentation(_Ranged):
    """Small changes of view and light that keep every label; for target images and for supervised training."""

    def __init__(
        self,
        strength: float = 1.0,
        flip: bool = False,
        engine: Engine = "fast",
        ranges: dict[str, list[float]] | None = None,
    ) -> None:
        """Scale the ranges.

        Args:
            strength: factor on all ranges.
            flip: mirror half of the images; wrong for digits and for left and right hands.
            engine: NumPy and OpenCV on whole batches, or albumentations image by image; equal in distribution.
            ranges: limits ``[low, high]`` of single variables, instead of the scaled ones.
        """
        super().__init__(recipes.WEAK, strength, flip, engine, ranges)


class StrongAugmentation(_Ranged):
    """Domain randomisation: view, colour, blur, and the noise of a sensor, in the order of a camera."""

    def __init__(
        self,
        strength: float = 1.0,
        flip: bool = False,
        engine: Engine = "fast",
        ranges: dict[str, list[float]] | None = None,
    ) -> None:
        """Scale the ranges.

        Args:
            strength: factor on all ranges.
            flip: mirror half of the images; wrong for digits and for left and right hands.
            engine: NumPy and OpenCV on whole batches, or albumentations image by image; equal in distribution.
            ranges: limits ``[low, high]`` of single variables, instead of the scaled ones.
        """
        super().__init__(recipes.STRONG, strength, flip, engine, ranges)


class AppearanceAugmentation(_Ranged):
    """What the strong augmentation does to light, colour, sharpness and noise; everything stays in its place."""

    def __init__(self, strength: float = 1.0, ranges: dict[str, list[float]] | None = None) -> None:
        """Scale the ranges.

        Args:
            strength: factor on all ranges.
            ranges: limits ``[low, high]`` of single variables, instead of the scaled ones.
        """
        super().__init__(recipes.APPEARANCE, strength, False, "fast", ranges)
