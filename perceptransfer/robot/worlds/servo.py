"""From the commanded to the actual joint speed: delay, gear and backlash, one physics step at a time."""

from __future__ import annotations

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.dynamics import Dynamics


class Servo:
    """Chain from a command to the speed that the joint's controller is asked for.

    The command takes effect ``delay`` after it is given (rounded to physics steps); the motor turns ``gear`` times as
    fast; the joint follows the motor only when the play of ``backlash`` is used up in the direction of motion.
    """

    def __init__(self, dynamics: Dynamics, joints: int, step: float) -> None:
        self._gear, self._play, self._step = dynamics.gear, dynamics.backlash, step
        self._line = [np.zeros(joints)] * (round(dynamics.delay / step) + 1)
        self._slack = np.zeros(joints)  # motor minus joint, within half the play

    def speed(self, command: Floats) -> Floats:
        """Joint speed (rad/s) for this physics step, given the newest command (rad/s)."""
        self._line = [*self._line[1:], command] if len(self._line) > 1 else [command]
        motor = self._gear * self._line[0]
        if not self._play:
            return np.asarray(motor, dtype=np.float64)
        slack = self._slack + motor * self._step
        self._slack = np.clip(slack, -self._play / 2, self._play / 2)
        return np.asarray((slack - self._slack) / self._step, dtype=np.float64)
