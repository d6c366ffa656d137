"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.metrics import accuracy, balanced_accuracy
from perceptransfer.models import ClassificationHead
from perceptransfer.tasks.base import Task

METRICS = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}


class Classification(Task):
    """One of ``num_classes`` labels an image, trained with cross-entropy.

    ``metric`` is reported: ``accuracy``, or ``balanced_accuracy`` (mean recall over classes) for uneven class sizes.
    ``label_smoothing`` in 0..1 moves that share of every target to the uniform distribution.

    Raises:
        ConfigError: fewer than two classes or an unknown metric.
    """

    direction: ClassVar[Literal["higher", "lower"]] = "higher"

    def __init__(
        self,
        num_classes: int,
        metric: Literal["accuracy", "balanced_accuracy"] = "accuracy",
        name: str = "class",
        label_smoothing: float = 0.0,
    ) -> None:
        if num_classes < 2:
            raise ConfigError(f"{num_classes} classes cannot be told apart", key="num_classes", remedy="use 2 or more")
        if metric not in METRICS:
            raise ConfigError(f"unknown metric {metric!r}", key="metric", remedy=f"use one of {sorted(METRICS)}")
        self.num_classes, self.num_outputs = num_classes, num_classes
        self.metric, self.name, self.label_smoothing = metric, name, label_smoothing

    def make_head(self, dim: int, channels: Sequence[int]) -> nn.Module:
        return ClassificationHead(dim, self.num_classes)

    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is None:
            return F.cross_entropy(output, label, label_smoothing=self.label_smoothing)
        each = F.cross_entropy(output, label, label_smoothing=self.label_smoothing, reduction="none")
        return (each * weight).mean()

    def pseudo_label(self, output: Tensor) -> tuple[Tensor, Tensor]:
        confidence, label = torch.softmax(output.float(), dim=1).max(dim=1)
        return label, confidence

    def score(self, output: NDArray[np.floating], label: NDArray[np.integer]) -> float:
        return float(METRICS[self.metric](output, label))
