"""Maximum mean discrepancy with several Gaussian kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss, require_batch
from perceptransfer.alignment.places import points
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class MMD(AlignmentLoss):
    """Squared MMD of pooled features, the multi-kernel variant of deep adaptation networks.

    ``k(x, y) = mean_u exp(-|x - y|^2 / (2 scale_u m))`` where m is the mean squared distance between different
    points of the joint batch, held constant for the gradient. ``biased`` averages over all pairs (never negative,
    zero for equal batches); ``unbiased`` leaves out pairs of a point with itself and can be negative. With ``level``
    the points are the places of that map of the pyramid (see `points`).

    Paper: Long et al., Learning Transferable Features with Deep Adaptation Networks, ICML 2015.
    """

    IF_GIVEN: ClassVar[frozenset[str]] = frozenset({"level"})

    def __init__(
        self,
        scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
        estimator: Literal["biased", "unbiased"] = "biased",
        level: int | None = None,
    ) -> None:
        super().__init__()
        if not scales or min(scales) <= 0 or estimator not in ("biased", "unbiased"):
            problem = f"MMD takes positive scales and biased or unbiased, got {list(scales)} and {estimator!r}"
            raise ConfigError(problem, key="align.loss")
        self.scales, self.estimator, self.level = tuple(scales), estimator, level

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar.

        Raises:
            ConfigError: a domain with one image under the unbiased estimator.
        """
        one, other = points(source, self.level), points(target, self.level)
        n, m, kernel = len(one), len(other), self.kernel(torch.cat([one, other]))
        within_source, within_target, across = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
        if self.estimator == "biased":
            return within_source.mean() + within_target.mean() - 2 * across.mean()
        require_batch(source, target, "unbiased MMD")
        same_source = (within_source.sum() - within_source.trace()) / (n * (n - 1))
        same_target = (within_target.sum() - within_target.trace()) / (m * (m - 1))
        return same_source + same_target - 2 * across.mean()

    def kernel(self, points: Tensor) -> Tensor:
        """Kernel matrix ``[N, N]`` of points ``[N, D]``, by one matrix product instead of N x N x D differences."""
        centred = points - points.detach().mean(0)  # distances do not change and lose fewer digits to cancellation
        norms = centred.square().sum(1)
        squared = norms[:, None] + norms[None, :] - 2 * centred @ centred.T
        # The floor keeps constant features finite: all distances are zero, the kernel is one, the loss zero.
        mean = squared.detach().sum() / (len(points) * (len(points) - 1))
        mean = mean.clamp_min(torch.finfo(points.dtype).eps)
        return torch.stack([torch.exp(-squared / (2 * scale * mean)) for scale in self.scales]).mean(0)
