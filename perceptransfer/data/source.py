"""Where images come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from perceptransfer.core.config import Configurable
from perceptransfer.data.image_set import ImageSet


class ImageSource(Configurable, ABC):
    """Where images come from; subclasses are the values that a configuration names."""

    @abstractmethod
    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read or make all images at ``size`` = (height, width) pixels.

        The result depends on nothing but the source's arguments, the content of its files and ``size``.

        Raises:
            DataError: missing or empty.
            ImageError: an image that cannot be read.
        """

    def ranges(self) -> Mapping[str, Any]:
        """Randomised variables and their ranges, for the ledger; empty where nothing is randomised."""
        return {}
