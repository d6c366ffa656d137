"""Several sets as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.source import ImageSource
from perceptransfer.data.targets import joined


class Several(ImageSource):
    """Images of several sources end to end, such as renders of two scenes; labels that not all have are left out.

    The sources must name the same classes in the same order. Pixels are held in memory.

    Raises:
        ConfigError: no sources.
    """

    def __init__(self, sources: list[ImageSource]) -> None:
        """Name the sources."""
        if not sources:
            raise ConfigError("there are no sources", key="sources", remedy="name at least one")
        self.sources = list(sources)

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images.

        Raises:
            DataError: classes or kinds of label that differ, or what a source raises.
        """
        parts = [source.load(size) for source in self.sources]
        for number, part in enumerate(parts):
            if part.classes != parts[0].classes:
                raise DataError(
                    f"set {number} has classes {list(part.classes)}, set 0 has {list(parts[0].classes)}",
                    key=f"sources[{number}]",
                    remedy="give both the same classes, in the same order",
                )
        return ImageSet(
            [record for part in parts for record in part.records],
            parts[0].classes,
            size,
            pixels=np.concatenate([part.images(range(len(part))) for part in parts]),
            preparation=" + ".join(f"{len(part)} {part.preparation}" for part in parts),
            quarantined=[bad for part in parts for bad in part.quarantined],
            targets=joined([part.targets for part in parts], "sources"),
        )

    def ranges(self) -> Mapping[str, Any]:
        """Those of the sources, by number."""
        return {str(number): dict(source.ranges()) for number, source in enumerate(self.sources)}
