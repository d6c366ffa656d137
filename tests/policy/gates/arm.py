"""A two-joint arm at rest in the middle of the shipped envelope, for the tests of gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.policy.gates import Evidence, Gate, read_gate

GATES = Path(__file__).parents[3] / "configs" / "gates"
NOW = 100.0


def planar_gate() -> Gate:
    return read_gate(GATES / "planar_reach.yaml")


def evidence(time: float = NOW, human: bool = False, **changes: Any) -> Evidence:
    """Tool at (0.2, 0) m, each joint moving it along one axis by 0.2 m/rad."""
    values: dict[str, Any] = {
        "joint_position": np.array([-0.5, 1.0]),
        "joint_velocity": np.zeros(2),
        "joint_temperature": np.array([30.0, 31.0]),
        "tool_position": np.array([0.2, 0.0]),
        "tool_jacobian": np.diag([0.2, 0.2]),
        "contact_force": np.zeros(2),
        "actuator_delay": 0.02,
        "human_distance": 3.0,
        "controller_health": 1.0,
    }
    return Evidence.taken(time, human, **{**values, **changes})
