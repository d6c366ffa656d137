"""Heads: features in, one task's output out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptransfer.core.features import Features


class ClassificationHead(nn.Module):
    """Linear layer from ``pooled`` ``[B, dim]`` to class logits ``[B, num_classes]``, at least float32."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, num_classes)

    def forward(self, features: Features) -> Tensor:
        """Class logits."""
        logits: Tensor = self.linear(features.pooled)
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
