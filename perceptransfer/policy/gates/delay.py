"""The actuators follow in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.policy.gates.constraint import StateConstraint, margin_below, positive
from perceptransfer.policy.gates.evidence import Reading


class ActuatorDelay(StateConstraint):
    """From command to motion pass at most ``limit`` seconds, and no negative time, which only a broken clock shows."""

    kind, unit = "actuator_delay", "s"
    quantities: ClassVar[Mapping[str, str]] = {"limit": "time", "margin": "time"}
    channels = ("actuator_delay",)

    def __init__(self, limit: float, margin: float = 0.0) -> None:
        self.limit, self.margin = positive(limit, "limit"), margin_below(margin, limit)

    def measured(self, at: Mapping[str, Reading]) -> float:
        delay = float(at["actuator_delay"].value)
        return delay - self.limit if delay >= 0 else -delay
