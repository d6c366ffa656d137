"""Weights from learnt noise levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptransfer.weighting.base import Weighting


class Uncertainty(Weighting):
    r"""Each task's loss divided by a learnt variance, plus the logarithm that keeps the variance from growing.

    With ``s = log σ²`` a parameter for each task, minimised together with the model: classification
    ``exp(-s) L + s/2`` (cross-entropy of logits divided by σ², to first order), regression ``exp(-s) L / 2 + s/2``
    (negative log-likelihood of a Gaussian whose squared error is L). Either way a loss that stands still at L ends with
    the weight 1/(2 L), so the scalar can be negative. The optimiser puts no weight decay on ``s``.

    Paper: Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018, equations 5 to 10.
    """

    log_variance: nn.Parameter
    scale: Tensor

    def start(self) -> None:
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))
        scale = torch.tensor([0.5 if regression else 1.0 for regression in self.regression])
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        return (self.scale * torch.exp(-self.log_variance) * losses + self.log_variance / 2).sum()
