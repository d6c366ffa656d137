"""Correlation alignment: equal second-order statistics."""

from __future__ import annotations

from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss, require_batch
from perceptransfer.core.features import Features


class CORAL(AlignmentLoss):
    """``|C_source - C_target|_F^2 / (4 D^2)`` with the unbiased covariances of pooled features ``[B, D]``.

    The means are not aligned: a constant shift between the domains costs nothing.

    Paper: Sun and Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV-W 2016.
    """

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar, not negative.

        Raises:
            ConfigError: a domain with one image, whose covariance is undefined.
        """
        require_batch(source, target, "CORAL")
        difference = covariance(source.pooled) - covariance(target.pooled)
        return difference.square().sum() / (4 * source.pooled.shape[1] ** 2)


def covariance(points: Tensor) -> Tensor:
    """Unbiased covariance ``[D, D]`` of points ``[N, D]``."""
    centred = points - points.mean(0)
    return centred.T @ centred / (len(points) - 1)
