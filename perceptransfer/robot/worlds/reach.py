"""Reach: bring the tip over a disc on the table and keep it there."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.worlds.base import ArmWorld
from perceptransfer.robot.worlds.kinematics import joints_at, tip_of, within_limits
from perceptransfer.robot.worlds.start import Region, Start

APART = 0.08  # m between tip and target at the start, so that no episode begins solved


class Reach(ArmWorld):
    """Success: the tip is over the disc (3 cm from its middle at most) for a quarter of a second, within 3 s.

    Regions of the target around the base: ``inside`` is 17 to 33 cm away, in a fan of ±55° without the wedge from 15°
    to 33°; ``held_out`` is the wedge from 17° to 31°; ``edge`` is 34.5 to 37.5 cm or 13.5 to 15.5 cm away.
    """

    name: ClassVar[str] = "reach"
    limit: ClassVar[int] = 60
    tolerance: ClassVar[float] = 0.03

    @classmethod
    def draw_start(cls, rng: np.random.Generator, region: Region) -> Start:
        """Draw until tip and target are apart and the arm is within its limits."""
        while True:
            target = _target(rng, region)
            joints = joints_at(rng.uniform(0.16, 0.35), np.deg2rad(rng.uniform(-55, 55)))
            if within_limits(joints) and np.hypot(*(tip_of(joints) - target)) > APART:
                seed = int(rng.integers(2**31))
                return Start(joints, (float(target[0]), float(target[1])), None, seed)

    def goal_distance(self) -> float:
        """From the tip to the middle of the disc."""
        return float(np.hypot(*(self.data.site_xpos[self._tip][:2] - self.start.target)))


def _target(rng: np.random.Generator, region: Region) -> Floats:
    angle, radius = rng.uniform(-55, 55), rng.uniform(0.17, 0.33)
    if region == "inside":
        while 15 <= angle <= 33:
            angle = rng.uniform(-55, 55)
    elif region == "held_out":
        angle = rng.uniform(17, 31)
    else:
        radius = rng.uniform(0.345, 0.375) if rng.random() < 0.6 else rng.uniform(0.135, 0.155)
    return radius * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
