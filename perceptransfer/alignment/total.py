"""Several methods at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from perceptransfer.alignment.base import AlignmentLoss, Shapes
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class Sum(AlignmentLoss):
    """``sum_i weights[i] * losses[i]``, so that class, mask and keypoints can each be aligned in its own way.

    ``weights`` are 1 by default. What the methods log is kept under their number and name.

    Raises:
        ConfigError: no losses, or another number of weights.
    """

    def __init__(self, losses: list[AlignmentLoss], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.weights = [1.0] * len(losses) if weights is None else [float(weight) for weight in weights]
        if not losses or len(self.weights) != len(losses):
            raise ConfigError(
                f"{len(self.weights)} weights for {len(losses)} losses",
                key="align.loss.weights",
                remedy="give at least one loss, and as many weights as losses",
            )
        self.losses = nn.ModuleList(losses)

    def prepare(self, shapes: Shapes) -> None:
        """Make every method ready."""
        super().prepare(shapes)
        for loss in self._methods():
            loss.prepare(shapes)

    def terms(self) -> list[AlignmentLoss]:
        """Those of every method."""
        return [term for loss in self._methods() for term in loss.terms()]

    def _methods(self) -> list[AlignmentLoss]:
        return [cast(AlignmentLoss, loss) for loss in self.losses]  # a ModuleList forgets what it holds

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar."""
        terms = [loss(source, target, progress=progress) for loss in self.losses]
        logged: dict[str, Tensor] = {}
        for number, (loss, term) in enumerate(zip(self._methods(), terms, strict=True)):
            name = f"{number}_{type(loss).__name__}"
            logged |= {name: term, **{f"{name}_{key}": value for key, value in loss._logs.items()}}
        self.log(**logged)
        return torch.stack([weight * term for weight, term in zip(self.weights, terms, strict=True)]).sum()
