"""Fixed weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.weighting.base import Weighting


class Static(Weighting):
    """Sum of the losses with fixed ``weights`` by task name, 1 for those not named.

    Raises:
        ConfigError: a weight that is not a positive number.
    """

    values: Tensor

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})
        for name, weight in self.weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ConfigError(
                    f"weight {weight} of task {name!r}",
                    key=f"weighting.weights.{name}",
                    remedy="give a positive number, or leave the task out of the model",
                )

    def start(self) -> None:
        strangers = sorted(set(self.weights) - set(self.tasks))
        if strangers:
            raise ConfigError(
                f"weights for unknown tasks {strangers}",
                key="weighting.weights",
                remedy=f"the tasks are {', '.join(self.tasks)}",
            )
        values = torch.tensor([self.weights.get(name, 1.0) for name in self.tasks])
        self.register_buffer("values", values, persistent=False)  # given, not learnt

    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        return (self.values * losses).sum()
