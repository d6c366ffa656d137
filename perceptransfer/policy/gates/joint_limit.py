"""Joint angles stay inside their range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from perceptransfer.policy.gates.box import bounds
from perceptransfer.policy.gates.constraint import INSIDE, Constraint, positive
from perceptransfer.policy.gates.evidence import Floats, Reading


class JointLimit(Constraint):
    """``low + margin <= q + rate * horizon <= high - margin`` for every joint, in rad.

    With the horizon a command that approaches a limit slows down in proportion to what is left, and one given from
    inside the margin has to lead out of it.
    """

    kind, unit = "joint_limit", "rad"
    quantities: ClassVar[Mapping[str, str]] = {"low": "angle", "high": "angle", "margin": "angle", "horizon": "time"}
    channels = ("joint_position",)

    def __init__(
        self, low: Sequence[float], high: Sequence[float], horizon: float, margin: float = 0.0, clip: bool = True
    ) -> None:
        self.low, self.high = bounds(low, high, margin)
        self.horizon, self.margin, self.clip = positive(horizon, "horizon"), margin, clip

    def expects(self) -> Mapping[str, int]:
        return {"n": len(self.low)}

    def measured(self, at: Mapping[str, Reading]) -> float:
        position = at["joint_position"].value
        return float(np.maximum(position - self.high, self.low - position).max())

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        position = at["joint_position"].value + rate * self.horizon
        return float(np.maximum(position - self.high, self.low - position).max()) + self.margin

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        position = at["joint_position"].value
        low, high = self.low + self.margin, self.high - self.margin
        middle = (low + high) / 2
        low, high = middle + (low - middle) * INSIDE, middle + (high - middle) * INSIDE
        return np.clip(rate, (low - position) / self.horizon, (high - position) / self.horizon)
