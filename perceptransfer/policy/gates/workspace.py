"""The tool stays inside a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from perceptransfer.policy.gates.box import bounds
from perceptransfer.policy.gates.constraint import INSIDE, Constraint, positive
from perceptransfer.policy.gates.evidence import Floats, Reading


class WorkspaceBox(Constraint):
    """``low + margin <= p + J rate * horizon <= high - margin`` along every axis, in m, to first order in the rate.

    Clipping projects the rate onto each violated face (the nearest rate that fits), so that motion along a wall goes
    on; more than one face, or a pose in which the face cannot be served, is left to the second look of the gate.
    """

    kind, unit = "workspace_box", "m"
    quantities: ClassVar[Mapping[str, str]] = {"low": "length", "high": "length", "margin": "length", "horizon": "time"}
    channels = ("tool_position", "tool_jacobian")

    def __init__(
        self, low: Sequence[float], high: Sequence[float], horizon: float, margin: float = 0.0, clip: bool = True
    ) -> None:
        self.low, self.high = bounds(low, high, margin)
        self.horizon, self.margin, self.clip = positive(horizon, "horizon"), margin, clip

    def expects(self) -> Mapping[str, int]:
        return {"k": len(self.low)}

    def measured(self, at: Mapping[str, Reading]) -> float:
        position = at["tool_position"].value
        return float(np.maximum(position - self.high, self.low - position).max())

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        position = at["tool_position"].value + at["tool_jacobian"].value @ rate * self.horizon
        return float(np.maximum(position - self.high, self.low - position).max()) + self.margin

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        position, jacobian = at["tool_position"].value, at["tool_jacobian"].value
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2 - self.margin
        low, high = middle - half * INSIDE, middle + half * INSIDE
        for axis, row in enumerate(jacobian):
            ahead = position[axis] + row @ rate * self.horizon
            excess = ahead - min(max(ahead, low[axis]), high[axis])
            size = float(row @ row) * self.horizon
            if excess != 0.0 and size > 0.0:
                rate = rate - row * (excess / size)
        return rate
