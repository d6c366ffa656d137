"""Which vectors of `Features` a loss compares: one an image, or one a place."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.alignment.base import Shapes
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features

GRID = 4  # places a row and a column: neighbours say nearly the same, and MMD's cost grows with their number's square


def width(shapes: Shapes, dim: int, level: int | None) -> int:
    """Length of the vectors that `points` gives.

    Raises:
        ConfigError: the model has no such map.
    """
    if level is None:
        return dim
    if not -len(shapes.channels) <= level < len(shapes.channels):
        raise _no_level(level, len(shapes.channels))
    return shapes.channels[level]


def points(features: Features, level: int | None) -> Tensor:
    """``pooled`` ``[B, D]``, or with a ``level`` of the pyramid (0 the finest, -1 the coarsest) ``[B·n, C]`` places.

    The places stand on an even grid of at most 4 x 4 a map; those of an image follow each other.

    Raises:
        ConfigError: the features have no such map.
    """
    if level is None:
        return features.pooled
    if not -len(features.pyramid) <= level < len(features.pyramid):
        raise _no_level(level, len(features.pyramid))
    maps = features.pyramid[level]
    rows, columns = (_even(size, maps.device) for size in maps.shape[-2:])
    chosen = maps[:, :, rows[:, None], columns].flatten(2).transpose(1, 2).flatten(0, 1)
    return chosen.float() if chosen.dtype in (torch.float16, torch.bfloat16) else chosen


def _even(size: int, device: torch.device) -> Tensor:
    count = min(GRID, size)
    return ((torch.arange(count, device=device) + 0.5) * size / count).long()


def _no_level(level: int, levels: int) -> ConfigError:
    return ConfigError(
        f"there is no level {level} in a pyramid of {levels} maps",
        key="align.loss.level",
        remedy="count from 0, the finest, or leave level out for pooled features",
    )
