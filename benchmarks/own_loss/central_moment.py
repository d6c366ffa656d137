"""A user's own alignment loss: one file outside the package, named by its import path."""

from torch import Tensor

from perceptransfer.alignment import AlignmentLoss
from perceptransfer.core.features import Features


class CentralMoment(AlignmentLoss):
    """Central moment discrepancy (Zellinger et al., ICLR 2017): distance of means and of higher central moments."""

    def __init__(self, moments: int = 3) -> None:
        """Compare moments.

        Args:
            moments: Highest moment compared.
        """
        super().__init__()
        self.moments = moments

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Sum of Euclidean distances between the domains' moments of pooled features."""
        a, b = source.pooled, target.pooled
        loss = (a.mean(0) - b.mean(0)).norm()
        a, b = a - a.mean(0), b - b.mean(0)
        return loss + sum((a.pow(k).mean(0) - b.pow(k).mean(0)).norm() for k in range(2, self.moments + 1))
