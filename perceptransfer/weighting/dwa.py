"""Weights from how fast each loss falls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.weighting.base import Weighting


class DWA(Weighting):
    """Dynamic weight average: more weight for the task whose loss fell least.

    The run is cut into ``periods`` equal parts, which stand for the paper's epochs. After part t every task's weight
    becomes ``T softmax(r / temperature)`` with ``r = mean loss of part t / mean loss of part t-1``; the first two
    parts weigh all tasks 1. The weights sum to the number of tasks T. Losses must not be negative.

    Paper: Liu, Johns, Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, equation 7.

    Raises:
        ConfigError: a temperature or a number of periods that is not positive.
    """

    weights: Tensor
    total: Tensor
    previous: Tensor

    def __init__(self, temperature: float = 2.0, periods: int = 20) -> None:
        super().__init__()
        for key, value in (("temperature", temperature), ("periods", periods)):
            if not value > 0:
                raise ConfigError(f"{value} is not above zero", key=f"weighting.{key}", remedy="give a positive number")
        self.temperature, self.periods = temperature, periods
        self.period, self.count, self.closed = 0, 0, 0

    def start(self) -> None:
        self.period, self.count, self.closed = 0, 0, 0
        self.register_buffer("weights", torch.ones(len(self.tasks)))
        self.register_buffer("total", torch.zeros(len(self.tasks)))
        self.register_buffer("previous", torch.zeros(len(self.tasks)))

    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        period = min(int(progress * self.periods), self.periods - 1)
        if period != self.period and self.count:
            self._close()
        self.period = period
        if torch.is_grad_enabled():
            self.total += losses.detach()
            self.count += 1
        return (self.weights * losses).sum()

    def _close(self) -> None:
        mean = self.total / self.count
        if self.closed:
            ratio = mean / self.previous.clamp_min(1e-12)
            self.weights.copy_(len(self.tasks) * torch.softmax(ratio / self.temperature, 0))
        self.previous.copy_(mean)
        self.total.zero_()
        self.count, self.closed = 0, self.closed + 1

    def get_extra_state(self) -> dict[str, int]:
        """Counters, kept out of tensors so that no step waits for a device."""
        return {"period": self.period, "count": self.count, "closed": self.closed}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        self.period, self.count, self.closed = state["period"], state["count"], state["closed"]
