"""What is known of one image besides its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Indices = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What is known of one image besides its pixels.

    ``sha256`` is of the file's bytes, or of the pixels where there is no file. ``label`` indexes the set's classes.
    ``group`` names what must not be torn apart by a split (scene, subject, recording); ``split`` is ``train``,
    ``val`` or ``test`` where the source comes with its own split.
    """

    name: str
    sha256: str
    label: int | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Quarantined:
    """An image left out because it cannot be read, and why."""

    name: str
    reason: str
