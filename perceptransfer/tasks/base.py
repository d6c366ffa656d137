"""What a model is asked to predict: a head, a loss and a metric under one name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from torch import Tensor, nn

from perceptransfer.core.config import Configurable
from perceptransfer.core.features import LABEL
from perceptransfer.metrics import Tally


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
    def decode(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """The head's output ``[B, ...]`` as an answer about images of ``size`` (H, W), in the unit of the labels."""

    @abstractmethod
    def tally(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Tally:
        """Sums an image from which score and interval follow, of decoded outputs and a domain's labels."""

    @abstractmethod
    def details(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Mapping[str, float | None]:
        """Further numbers worth reading beside the score."""

    def score(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> float:
        """Metric over a whole domain."""
        return self.tally(decoded, truth, size).score()


def classifier(tasks: Sequence[Task]) -> Task | None:
    """The first task that predicts the image's class: label-free evidence and class balance are read from it."""
    return next((task for task in tasks if task.label_key == LABEL), None)


def per_image(each: Tensor, valid: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of a loss ``[B, H, W]`` over valid pixels, scaled by ``weight`` ``[B]`` or ``[B, H, W]``."""
    if weight is not None:
        each = each * (weight if weight.ndim == each.ndim else weight.view(-1, *[1] * (each.ndim - 1)))
    return (each * valid).sum() / valid.sum().clamp_min(1)
