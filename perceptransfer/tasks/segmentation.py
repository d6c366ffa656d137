"""One class a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import MASK
from perceptransfer.metrics import Tally, intersection_over_union
from perceptransfer.models import DenseHead, enlarge
from perceptransfer.tasks.base import Task, per_image

IGNORE = 255


class Segmentation(Task):
    """One of ``num_classes`` labels a pixel, trained with cross-entropy; pixels of value 255 count nowhere.

    The score is the mean IoU over ``scored`` classes (default: all), each over the whole set. ``width`` is the
    decoder's; ``class_weights`` scale the loss of each class. Logits are enlarged to the mask's size.

    Raises:
        ConfigError: fewer than two classes, or a scored class or weights that do not fit.
    """

    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    VERSION: ClassVar[int] = 2
    label_key: ClassVar[str] = MASK
    metric: str = "mean_iou"

    def __init__(
        self,
        num_classes: int,
        scored: list[int] | None = None,
        class_weights: list[float] | None = None,
        width: int = 64,
        name: str = "segmentation",
    ) -> None:
        if num_classes < 2 or num_classes > IGNORE:
            raise ConfigError(f"{num_classes} classes cannot be segmented", key="num_classes", remedy="2 to 255")
        self.scored = list(range(num_classes)) if scored is None else list(scored)
        if not self.scored or not set(self.scored) <= set(range(num_classes)):
            raise ConfigError(f"cannot score classes {scored} of {num_classes}", key="scored")
        if class_weights is not None and len(class_weights) != num_classes:
            raise ConfigError(f"{len(class_weights)} weights for {num_classes} classes", key="class_weights")
        self.num_classes, self.num_outputs, self.width, self.name = num_classes, num_classes, width, name
        self.class_weights = class_weights

    def make_head(self, dim: int, channels: Sequence[int]) -> nn.Module:
        return DenseHead(dim, channels, self.num_classes, self.width)

    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        given = None if self.class_weights is None else output.new_tensor(self.class_weights)
        logits, target = enlarge(output, label.shape[-2:]), label.long()
        each = F.cross_entropy(logits, target, given, ignore_index=IGNORE, reduction="none")
        return per_image(each, label != IGNORE, weight)

    def pseudo_label(self, output: Tensor) -> tuple[Tensor, Tensor]:
        confidence, label = torch.softmax(output.float(), dim=1).max(dim=1)
        return label.to(torch.uint8), confidence

    def decode(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        return enlarge(output, size).argmax(1).to(torch.uint8)

    def tally(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Tally:
        both = intersection_over_union(decoded, truth, self.num_classes)
        return Tally(both.hits[:, self.scored], both.totals[:, self.scored])

    def details(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Mapping[str, float | None]:
        every = intersection_over_union(decoded, truth, self.num_classes).per_class()
        kept = truth != IGNORE
        right = {"pixel_accuracy": float(np.mean(decoded[kept] == truth[kept])) if kept.any() else None}
        return {**{f"iou_{i}": value for i, value in enumerate(every)}, **right}
