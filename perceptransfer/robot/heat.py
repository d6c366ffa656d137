"""Temperature of motors from the torque they give, for robots that have no thermometer."""

from __future__ import annotations

import math

import numpy as np

from perceptransfer.policy.gates.evidence import Floats


class MotorHeat:
    """First-order model per motor: copper losses heat (``warming`` degC/s per (N·m)²), the air cools.

    ``T' = warming · torque² − (T − ambient) / cooling``, solved exactly over each interval of constant torque;
    ``cooling`` is the time constant in s, ``ambient`` in degC.
    """

    def __init__(self, joints: int, warming: float = 5.0, cooling: float = 300.0, ambient: float = 25.0) -> None:
        self.warming, self.cooling, self.ambient = warming, cooling, ambient
        self.temperature = np.full(joints, ambient)

    def after(self, torque: Floats, seconds: float) -> Floats:
        """Temperatures (degC) after ``seconds`` of this torque (N·m)."""
        target = self.ambient + self.cooling * self.warming * torque**2
        left = math.exp(-seconds / self.cooling)
        self.temperature = target + (self.temperature - target) * left
        return self.temperature.copy()
