"""Geometry of the two-joint arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.worlds.model import JOINT_LIMITS, LINK


def tip_of(joints: Sequence[float] | Floats) -> Floats:
    """Tip (x, y in m) at joint angles (rad)."""
    first, both = joints[0], joints[0] + joints[1]
    return np.asarray(LINK * np.array([np.cos(first) + np.cos(both), np.sin(first) + np.sin(both)]), dtype=np.float64)


def jacobian(joints: Sequence[float] | Floats) -> Floats:
    """Tip velocity (m/s) for each joint speed (rad/s), ``[2, 2]``."""
    first, both = joints[0], joints[0] + joints[1]
    fore = LINK * np.array([-np.sin(both), np.cos(both)])
    return np.column_stack([LINK * np.array([-np.sin(first), np.cos(first)]) + fore, fore])


def joints_at(radius: float, angle: float) -> tuple[float, float]:
    """Joint angles (rad) that put the tip at a distance (m) and direction (rad) from the base, elbow to the right."""
    elbow = 2 * np.arccos(radius / (2 * LINK))
    return float(angle - elbow / 2), float(elbow)


def within_limits(joints: Sequence[float], margin: float = 0.02) -> bool:
    """Whether joint angles keep ``margin`` (rad) from their limits."""
    return all(low + margin <= angle <= high - margin for angle, (low, high) in zip(joints, JOINT_LIMITS, strict=True))
