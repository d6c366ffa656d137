"""What a model is asked to predict: a head, a loss and a metric under one name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from perceptransfer.core.config import Configurable
from perceptransfer.core.features import LABEL


class Task(Configurable, ABC):
    """Head + loss + metric + direction of one output of the model.

    ``name`` keys the head in the model and the row in every table. ``direction`` says whether higher or lower scores
    are better; ratios are turned the right way round from it. ``label_key`` names the task's labels in a batch;
    ``num_outputs`` is the number of values the head gives for an image or a pixel. ``regression`` says that the loss is
    a squared error or scales like one, which the weighting by uncertainty asks for; cross-entropies are not.
    """

    direction: ClassVar[Literal["higher", "lower"]]
    label_key: ClassVar[str] = LABEL
    regression: ClassVar[bool] = False
    name: str
    metric: str
    num_outputs: int

    @abstractmethod
    def make_head(self, dim: int, channels: Sequence[int]) -> nn.Module:
        """Head over `Features` of ``dim`` pooled values and pyramid maps of the given ``channels``."""

    @abstractmethod
    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """Scalar loss of a batch; ``weight`` ``[B]`` scales each sample's share."""

    @abstractmethod
    def pseudo_label(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Labels the model would give itself and its confidence in each, in 0..1."""

    @abstractmethod
    def score(self, output: NDArray[np.floating], label: NDArray[np.integer]) -> float:
        """Metric over a whole domain."""
