"""What the arm's own sensors measure."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np


def read_sensors(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
    """Readings of this instant by name; `ArmWorld` lists them with their units."""
    site = model.site("tip").id
    motion = np.zeros(6)  # angular, then linear
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_SITE, site, motion, 0)
    return {
        "joint_position": data.qpos[:2].copy(),
        "joint_speed": data.qvel[:2].copy(),
        "joint_torque": data.actuator_force.copy(),
        "tip_position": data.site_xpos[site].copy(),
        "tip_speed": float(np.linalg.norm(motion[3:])),
        "contact_force": _contact_force(model, data),
        "time": float(data.time),
    }


def _contact_force(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Sum over contacts of the force between the two bodies, N; only the tip and the puck can touch."""
    total, force = 0.0, np.zeros(6)
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, force)
        total += float(np.linalg.norm(force[:3]))
    return total
