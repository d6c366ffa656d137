"""Scripted experts: they read the simulator's labels and are what demonstrations and upper bounds come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.worlds.kinematics import jacobian
from perceptransfer.robot.worlds.model import PUCK_RADIUS, SPEED, TIP_RADIUS

Expert = Callable[[Mapping[str, Any]], Floats]
_DAMPING = 0.03  # m, of the inverse: keeps speeds bounded where the arm is nearly straight
_TOUCH = PUCK_RADIUS + TIP_RADIUS


def joint_speeds(joints: Floats, velocity: Floats) -> Floats:
    """Joint speeds (rad/s) that move the tip with ``velocity`` (x, y in m/s), scaled down together to the bounds.

    Damped least squares, ``Jᵀ(JJᵀ + λ²)⁻¹ v`` (Nakamura & Hanafusa 1986).
    """
    matrix = jacobian(joints)
    speeds = matrix.T @ np.linalg.solve(matrix @ matrix.T + _DAMPING**2 * np.eye(2), velocity)
    return np.asarray(speeds / max(1.0, float(np.abs(speeds).max()) / SPEED), dtype=np.float64)


def reach_expert(info: Mapping[str, Any]) -> Floats:
    """Straight to the target, slower the nearer."""
    measured, labels = info["measured"], info["labels"]
    return joint_speeds(measured["joint_position"], _towards(labels["tip"][:2], labels["target"], 0.35))


def push_expert(info: Mapping[str, Any]) -> Floats:
    """Around the puck to the side away from the goal, then through it; a function of the present state only."""
    measured, labels = info["measured"], info["labels"]
    tip, puck, goal = labels["tip"][:2], labels["puck"], labels["target"]
    left = goal - puck
    distance = float(np.hypot(*left))
    ahead = left / max(distance, 1e-6)
    side = np.array([-ahead[1], ahead[0]])
    along, across = float((tip - puck) @ ahead), float((tip - puck) @ side)
    if distance < 0.012:
        velocity = np.zeros(2)
    elif along < -0.6 * _TOUCH and abs(across) < 0.5 * _TOUCH:  # behind: push, and steer back to the line
        velocity = min(0.12, 1.5 * distance + 0.02) * ahead - 3.0 * across * side
    else:  # on a circle around the puck to the place behind it
        radius = _TOUCH + 0.025
        angle = np.arctan2(across, -along)  # 0 is behind
        turn = np.sign(angle) * min(abs(angle), 0.6)
        goal_angle = angle - turn
        spot = puck + radius * (np.sin(goal_angle) * side - np.cos(goal_angle) * ahead)
        velocity = _towards(tip, spot, 0.3)
    return joint_speeds(measured["joint_position"], velocity)


def _towards(tip: Floats, spot: Floats, fastest: float) -> Floats:
    """Velocity (m/s) that shrinks the way to a spot by a fifth every tick of 50 ms, ``fastest`` at most."""
    way = 4.0 * (spot - tip)
    return np.asarray(way / max(1.0, float(np.hypot(*way)) / fastest), dtype=np.float64)


EXPERTS: dict[str, Expert] = {"reach": reach_expert, "push": push_expert}
