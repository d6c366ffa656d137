"""Information maximisation."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss, class_logits
from perceptransfer.core.features import Features


class InformationMaximization(AlignmentLoss):
    """Entropy of each target prediction minus ``diversity`` times the entropy of their mean.

    The first term makes predictions sure, the second keeps them from falling on few classes. Over a batch the second
    asks for equal class shares: on a target whose classes are uneven lower ``diversity``, and watch the predicted
    shares. Low where predictions are sure and even: ``-ln K`` at ``diversity = 1``.

    Papers: Shi and Sha, Information-Theoretical Learning of Discriminative Clusters for Unsupervised Domain
    Adaptation, ICML 2012; as the loss of SHOT in Liang et al., ICML 2020.
    """

    def __init__(self, diversity: float = 1.0) -> None:
        """Weigh the two terms.

        Args:
            diversity: Factor on the entropy of the mean prediction.
        """
        super().__init__()
        self.diversity = diversity

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar in ``-diversity ln K .. ln K``; only the target's class logits are read.

        Raises:
            ConfigError: the model has no classification task.
        """
        log_p = torch.log_softmax(class_logits(target), dim=1)
        p = log_p.exp()
        mean = p.mean(0)
        entropy = -(p * log_p).sum(1).mean()
        marginal = -(mean * mean.clamp_min(1e-12).log()).sum()
        self.log(entropy=entropy, marginal_entropy=marginal)
        return entropy - self.diversity * marginal
