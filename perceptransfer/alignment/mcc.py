"""Minimum class confusion."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss, class_logits
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class MCC(AlignmentLoss):
    """Between-class confusion of the target predictions, certain images weighing more.

    With ``p = softmax(logits / temperature)`` and weights ``w_i ~ 1 + exp(-H(p_i))`` of mean one (held constant for
    the gradient), ``C = p^T diag(w) p`` is normalised by rows; the loss is the mean over classes of the row's mass
    off the diagonal: 0 when every image is assigned with certainty, ``1 - 1/K`` when all predictions are uniform.

    The row normalisation gives each class the same say whatever its share in the batch. On a target whose classes
    are far from the source's balance this pulls predictions towards equal shares and can end below source-only
    without any sign in the loss: watch the predicted class shares.

    Paper: Jin et al., Minimum Class Confusion for Versatile Domain Adaptation, ECCV 2020.
    """

    def __init__(self, temperature: float = 2.5) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"temperature must be positive, got {temperature}", key="align.loss.temperature")
        self.temperature = temperature

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar in ``0 .. 1``; only the target's class logits are read.

        Raises:
            ConfigError: the model has no classification task.
        """
        log_p = torch.log_softmax(class_logits(target) / self.temperature, dim=1)
        p = log_p.exp()
        entropy = -(p * log_p).sum(1).detach()
        weight = 1 + torch.exp(-entropy)
        weight = weight * (len(p) / weight.sum())
        confusion = (p * weight[:, None]).T @ p
        # A class that nobody predicts has an empty row; the floor makes it count as not confused instead of 0/0.
        confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(1e-12)
        self.log(confidence=p.amax(1).mean(), entropy=entropy.mean())
        return (confusion.sum() - confusion.trace()) / p.shape[1]
