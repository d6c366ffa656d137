"""Encoder plus heads: the network that the stages train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn

from perceptransfer.core.features import Features
from perceptransfer.models.encoder import Encoder
from perceptransfer.models.evalmode import keep_frozen_in_eval


class PerceptionModel(nn.Module):
    """One encoder and one head a task; every head takes `Features` and gives a tensor.

    The state dict's names start with ``encoder.`` and ``heads.<task>.``.
    """

    def __init__(self, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(heads))

    def forward(self, images: Tensor) -> Features:
        """Features of images ``[B, 3, H, W]`` in 0..1 with ``outputs`` filled in for every task."""
        # Convolutions and pooling on CPU, and tensor cores on GPU, run faster with the channels last in memory.
        features: Features = self.encoder(images.contiguous(memory_format=torch.channels_last))
        return features._replace(outputs={name: head(features) for name, head in self.heads.items()})

    def forward_pair(
        self, source: Tensor, target: Tensor, batchnorm: Literal["joint", "separate"] = "joint"
    ) -> tuple[Features, Features]:
        """Features of two domains' images.

        ``joint`` sends both through one forward pass, so batch normalisation sees their mixture; ``separate`` gives
        each domain its own batch statistics. From one checkpoint the two end tens of points apart.
        """
        if batchnorm == "separate":
            return self(source), self(target)
        both: Features = self(torch.cat([source, target]))
        return take(both, slice(0, len(source))), take(both, slice(len(source), None))

    def train(self, mode: bool = True) -> Self:
        """As in torch, except that what is frozen stays in evaluation mode."""
        super().train(mode)
        keep_frozen_in_eval(self)
        return self


def take(features: Features, rows: slice) -> Features:
    """Features of some of a batch's images."""
    outputs = {name: output[rows] for name, output in features.outputs.items()}
    return Features(features.pooled[rows], tuple(level[rows] for level in features.pyramid), outputs)
