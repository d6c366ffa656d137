"""Push: move a puck onto a disc on the table."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.worlds.base import ArmWorld
from perceptransfer.robot.worlds.kinematics import joints_at, tip_of, within_limits
from perceptransfer.robot.worlds.start import Region, Start

CLEAR = 0.08  # m between tip and puck at the start


class Push(ArmWorld):
    """Success: the puck's middle is within 3.5 cm of the disc's for a quarter of a second, within 10 s.

    Regions: the puck lies 22 to 28 cm from the base in a fan of ±35°. ``inside``: the disc is 8 to 14 cm from the puck
    in any direction but the sector from 45° to 75°, and 20 to 31 cm from the base; ``held_out``: in the sector from 48°
    to 72°; ``edge``: 31.5 to 33.5 or 17 to 19.5 cm from the base.
    """

    name: ClassVar[str] = "push"
    limit: ClassVar[int] = 200
    tolerance: ClassVar[float] = 0.035
    target_radius: ClassVar[float] = 0.045
    has_puck: ClassVar[bool] = True

    @classmethod
    def draw_start(cls, rng: np.random.Generator, region: Region) -> Start:
        """Draw until puck, disc and arm are where they may be."""
        while True:
            puck = _polar(rng.uniform(0.22, 0.28), rng.uniform(-35, 35))
            angle = rng.uniform(48, 72) if region == "held_out" else rng.uniform(75, 405)
            target = puck + _polar(rng.uniform(0.08, 0.14), angle)
            joints = joints_at(rng.uniform(0.16, 0.35), np.deg2rad(rng.uniform(-50, 50)))
            apart = np.hypot(*(tip_of(joints) - puck)) > CLEAR
            if apart and within_limits(joints) and _allowed(float(np.hypot(*target)), region):
                place = (float(target[0]), float(target[1]))
                return Start(joints, place, (float(puck[0]), float(puck[1])), int(rng.integers(2**31)))

    def goal_distance(self) -> float:
        """From the puck's middle to the disc's."""
        return float(np.hypot(*(self.data.body("puck").xpos[:2] - self.start.target)))


def _polar(radius: float, degrees: float) -> Floats:
    return radius * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])


def _allowed(radius: float, region: Region) -> bool:
    if region == "edge":
        return 0.315 <= radius <= 0.335 or 0.17 <= radius <= 0.195
    return 0.20 <= radius <= 0.31
