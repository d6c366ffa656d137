"""No alignment: the equal-step control that every aligning arm is compared with."""

from __future__ import annotations

from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss
from perceptransfer.core.features import Features


class NoAlignment(AlignmentLoss):
    """Zero, so that a stage with this loss trains on the source alone for as many steps as the others."""

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar zero of the features' dtype and device."""
        return source.pooled.new_zeros(())
