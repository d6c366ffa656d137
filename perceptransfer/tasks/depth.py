"""Distance along the camera's axis for every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import DEPTH
from perceptransfer.metrics import Tally, depth_errors
from perceptransfer.models import DenseHead, enlarge
from perceptransfer.tasks.base import Task

LOG_RANGE = 10.0  # e^±10 m about the reference: beyond any camera, within float32


class Depth(Task):
    """Metres a pixel, trained with the scale-invariant logarithmic loss; pixels of depth 0 count nowhere.

    The head predicts the logarithm of depth relative to ``reference`` metres. With ``d = log prediction − log truth``
    over an image's valid pixels the loss is ``mean(d²) − variance_focus · mean(d)²``: 0 counts absolute scale in full,
    1 not at all. The score is ``delta1`` (share of pixels within a factor 1.25) or ``abs_rel``.

    Paper: Eigen et al., Depth Map Prediction from a Single Image using a Multi-Scale Deep Network, NeurIPS 2014.

    Raises:
        ConfigError: a focus outside 0..1, a reference that is not positive, or an unknown metric.
    """

    VERSION: ClassVar[int] = 2
    label_key: ClassVar[str] = DEPTH
    regression: ClassVar[bool] = True
    num_outputs: int = 1

    def __init__(
        self,
        reference: float = 1.0,
        variance_focus: float = 0.5,
        metric: Literal["delta1", "abs_rel"] = "delta1",
        width: int = 64,
        name: str = "depth",
    ) -> None:
        if not 0 <= variance_focus <= 1:
            raise ConfigError(f"variance_focus must be in 0..1, got {variance_focus}", key="variance_focus")
        if not reference > 0:
            raise ConfigError(f"reference must be a distance in metres, got {reference}", key="reference")
        if metric not in ("delta1", "abs_rel"):
            raise ConfigError(f"unknown metric {metric!r}", key="metric", remedy="use delta1 or abs_rel")
        self.reference, self.variance_focus, self.metric = reference, variance_focus, metric
        self.width, self.name = width, name
        self.direction: Literal["higher", "lower"] = "higher" if metric == "delta1" else "lower"  # type: ignore[misc]

    def make_head(self, dim: int, channels: Sequence[int]) -> nn.Module:
        return DenseHead(dim, channels, 1, self.width)

    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        known = label > 0
        true = torch.where(known, label / self.reference, torch.ones_like(label)).log()
        error = torch.where(known, self._log_depth(output, label.shape[-2:]) - true, torch.zeros_like(true))
        count = known.sum((1, 2)).clamp_min(1)
        mean, square = error.sum((1, 2)) / count, error.square().sum((1, 2)) / count
        each = square - self.variance_focus * mean.square()
        share = known.any(2).any(1).float() * (1.0 if weight is None else weight)
        return (each * share).sum() / known.any(2).any(1).sum().clamp_min(1)

    def pseudo_label(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted metres; a regression gives no confidence, so it is 1 everywhere."""
        metres = self._log_depth(output, output.shape[-2:]).exp() * self.reference
        return metres, torch.ones_like(metres)

    def decode(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        return self._log_depth(output, size).exp() * self.reference

    def tally(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Tally:
        errors = depth_errors(decoded, truth)
        hits = errors.close if self.metric == "delta1" else errors.relative
        return Tally(hits[:, None], errors.valid[:, None])

    def details(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Mapping[str, float | None]:
        return depth_errors(np.asarray(decoded), truth).details()

    def _log_depth(self, output: Tensor, size: Sequence[int]) -> Tensor:
        return enlarge(output.float(), size)[:, 0].clamp(-LOG_RANGE, LOG_RANGE)
