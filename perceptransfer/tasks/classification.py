"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.metrics import Tally, classification_scores
from perceptransfer.models import ClassificationHead
from perceptransfer.tasks.base import Task

METRICS = ("accuracy", "balanced_accuracy")


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
            raise ConfigError(f"unknown metric {metric!r}", key="metric", remedy=f"use one of {list(METRICS)}")
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

    def decode(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """The logits themselves: calibration is read from them."""
        return output

    def tally(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Tally:
        right = (np.asarray(decoded).argmax(1) == truth).astype(np.float64)
        if self.metric == "accuracy":
            return Tally(right[:, None], np.ones((len(right), 1)))
        member = np.eye(self.num_classes)[truth]
        return Tally(right[:, None] * member, member)

    def details(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Mapping[str, float | None]:
        """Accuracy and its mean over classes, and the calibration error."""
        scores = classification_scores(decoded, truth)
        return {"accuracy": scores.accuracy, "balanced_accuracy": scores.balanced_accuracy, "ece": scores.ece}
