"""Entropy minimisation on every kind of output."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.alignment.base import AlignmentLoss
from perceptransfer.alignment.beliefs import beliefs, chosen
from perceptransfer.core.features import Features


class EntropyMinimization(AlignmentLoss):
    """Mean entropy of the target's predictions, of each task as a share of its highest possible, summed over tasks.

    For a segmentation it is the mean over pixels of the entropy over classes, for keypoints the mean over keypoints of
    the entropy of the heatmap over places, which is low for one sharp peak, for a class the entropy of its prediction.
    ``kinds`` names the kinds of label to act on (``label``, ``mask``, ``keypoints``); null for all that there are.

    It makes sure what is wrong as gladly as what is right, and rare classes vanish first: watch the predicted shares.

    Paper: Vu et al., ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation, CVPR
    2019 (its direct variant, after Grandvalet and Bengio, NeurIPS 2004).
    """

    def __init__(self, kinds: list[str] | None = None) -> None:
        super().__init__()
        self.wanted, self.names = kinds, list[str]()

    def build(self, dim: int, num_classes: int) -> None:
        """Find the tasks to act on."""
        self.names = chosen(self.shapes, self.wanted)

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar in 0..tasks; only the target's outputs are read."""
        found = {belief.name: belief.entropy().mean() for belief in beliefs(target, self.shapes, self.names)}
        self.log(**{f"entropy_{name}": value for name, value in found.items()})
        return torch.stack(list(found.values())).sum()
