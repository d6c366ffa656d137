"""The domain discriminator that adversarial methods share."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from perceptransfer.alignment.reversal import reverse_gradient
from perceptransfer.core.errors import ConfigError

Normalization = Literal["domain", "joint", "none"]


class DomainDiscriminator(nn.Module):
    """Two hidden layers and one logit, positive for the source, on points ``[B, dim]``.

    ``normalization`` says over what batch normalisation averages: each ``domain`` by itself, both ``joint``, or
    ``none`` for no such layer. It keeps no running statistics, being of no use outside training.
    """

    def __init__(self, dim: int, hidden: int, normalization: Normalization) -> None:
        super().__init__()
        if normalization not in get_args(Normalization):
            raise ConfigError(
                f"unknown normalization {normalization!r}",
                key="align.loss.normalization",
                remedy=f"use one of {', '.join(get_args(Normalization))}",
            )
        self.dim, self.normalization = dim, normalization
        layers: list[nn.Module] = []
        for width in (dim, hidden):
            norm = [] if normalization == "none" else [nn.BatchNorm1d(hidden, track_running_stats=False)]
            layers += [nn.Linear(width, hidden), *norm, nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, 1))

    def forward(self, source: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Logits ``[B]`` of both domains; ``-scale`` times their gradient reaches the points."""
        source, target = reverse_gradient(source, scale), reverse_gradient(target, scale)
        if self.normalization == "domain":
            return self.layers(source).squeeze(1), self.layers(target).squeeze(1)
        both: Tensor = self.layers(torch.cat([source, target])).squeeze(1)
        return both[: len(source)], both[len(source) :]
