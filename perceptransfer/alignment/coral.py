"""Correlation alignment: equal second-order statistics."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss, require_batch
from perceptransfer.alignment.places import points
from perceptransfer.core.features import Features


class CORAL(AlignmentLoss):
    """``|C_source - C_target|_F^2 / (4 D^2)`` with the unbiased covariances of pooled features ``[B, D]``.

    The means are not aligned: a constant shift between the domains costs nothing. With ``level`` the points are the
    places of that map of the pyramid (see `points`).

    Paper: Sun and Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV-W 2016.
    """

    IF_GIVEN: ClassVar[frozenset[str]] = frozenset({"level"})

    def __init__(self, level: int | None = None) -> None:
        super().__init__()
        self.level = level

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar, not negative.

        Raises:
            ConfigError: a domain with one image, whose covariance is undefined.
        """
        require_batch(source, target, "CORAL")
        difference = covariance(points(source, self.level)) - covariance(points(target, self.level))
        return difference.square().sum() / (4 * len(difference) ** 2)


def covariance(of: Tensor) -> Tensor:
    """Unbiased covariance ``[D, D]`` of points ``[N, D]``."""
    centred = of - of.mean(0)
    return centred.T @ centred / (len(of) - 1)
