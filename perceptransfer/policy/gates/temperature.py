"""Motors do not overheat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.policy.gates.constraint import StateConstraint, margin_below, positive
from perceptransfer.policy.gates.evidence import Reading


class JointTemperature(StateConstraint):
    """No joint is hotter than ``limit`` (degC); within ``margin`` of it the robot is held until it has cooled."""

    kind, unit = "joint_temperature", "degC"
    quantities: ClassVar[Mapping[str, str]] = {"limit": "temperature", "margin": "temperature"}
    channels = ("joint_temperature",)

    def __init__(self, limit: float, margin: float = 0.0) -> None:
        self.limit, self.margin = positive(limit, "limit"), margin_below(margin, limit)

    def measured(self, at: Mapping[str, Reading]) -> float:
        return float(at["joint_temperature"].value.max()) - self.limit
