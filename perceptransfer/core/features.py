"""What an encoder hands on, and the keys under which a batch travels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

SOURCE, TARGET = "source", "target"
IMAGE, LABEL = "image", "label"
MASK, DEPTH, KEYPOINTS = "mask", "depth", "keypoints"


class Features(NamedTuple):
    """Encoder output of one domain's batch.

    ``pooled`` is ``[B, D]``. ``pyramid`` holds the feature maps from fine to coarse, ``[B, C_i, H/2^i, W/2^i]``.
    ``outputs`` maps a task's name to its head's output (class logits ``[B, K]``); an encoder leaves it empty and the
    model fills it in, because classifier-based alignment (MCC, CDAN) needs predictions beside features.
    """

    pooled: Tensor
    pyramid: tuple[Tensor, ...] = ()
    outputs: Mapping[str, Tensor] = {}
