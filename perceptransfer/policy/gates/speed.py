"""Limits on how fast joints and tool move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from perceptransfer.policy.gates.constraint import INSIDE, Constraint, margin_below, positive
from perceptransfer.policy.gates.evidence import Floats, Reading


def norm(vector: Floats) -> float:
    """Euclidean length, without overflow on the way."""
    return math.hypot(*vector.tolist())


class JointSpeed(Constraint):
    """No joint is told to turn, or turns, faster than ``limit`` (rad/s). Clipping scales all joints alike."""

    kind, unit = "joint_speed", "rad/s"
    quantities: ClassVar[Mapping[str, str]] = {"limit": "angular speed", "margin": "angular speed"}
    channels = ("joint_velocity",)

    def __init__(self, limit: float, margin: float = 0.0, clip: bool = True) -> None:
        self.limit, self.margin, self.clip = positive(limit, "limit"), margin_below(margin, limit), clip

    def measured(self, at: Mapping[str, Reading]) -> float:
        return float(np.abs(at["joint_velocity"].value).max()) - self.limit

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        return float(np.abs(rate).max()) - (self.limit - self.margin)

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        return rate * ((self.limit - self.margin) * INSIDE / float(np.abs(rate).max()))


class ToolSpeed(Constraint):
    """The tool is not told to move, and does not move, faster than ``limit`` (m/s): ``|J rate|``, ``|J velocity|``."""

    kind, unit = "tool_speed", "m/s"
    quantities: ClassVar[Mapping[str, str]] = {"limit": "speed", "margin": "speed"}
    channels = ("tool_jacobian", "joint_velocity")

    def __init__(self, limit: float, margin: float = 0.0, clip: bool = True) -> None:
        self.limit, self.margin, self.clip = positive(limit, "limit"), margin_below(margin, limit), clip

    def measured(self, at: Mapping[str, Reading]) -> float:
        return norm(at["tool_jacobian"].value @ at["joint_velocity"].value) - self.limit

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        return norm(at["tool_jacobian"].value @ rate) - (self.limit - self.margin)

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        return rate * ((self.limit - self.margin) * INSIDE / norm(at["tool_jacobian"].value @ rate))
