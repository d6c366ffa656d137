"""What a real arm does to a command: the parameters that differ between a simulator and a robot."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from perceptransfer.core.errors import ConfigError

LIMITS = {
    "joint_friction": (0.0, 1.0),
    "puck_friction": (0.0, 2.0),
    "delay": (0.0, 0.5),
    "backlash": (0.0, 0.3),
    "payload": (0.0, 2.0),
    "gear": (0.1, 3.0),
}


@dataclass(frozen=True)
class Dynamics:
    """Parameters of the arm and the table.

    Attributes:
        joint_friction: dry friction of each joint, N·m.
        puck_friction: dry friction between puck and table along each axis, N.
        delay: time from a command to its effect, s.
        backlash: play between motor and joint, lost whenever the direction turns, rad.
        payload: additional mass at the tip, kg.
        gear: speed of the joint over speed commanded.

    Raises:
        ConfigError: a value that is not finite or out of its limits.
    """

    joint_friction: float = 0.02
    puck_friction: float = 0.15
    delay: float = 0.0
    backlash: float = 0.0
    payload: float = 0.0
    gear: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low, high = LIMITS[name]
            if not math.isfinite(value) or not low <= value <= high:
                raise ConfigError(f"{value} is out of range", key=f"dynamics.{name}", remedy=f"{low} to {high}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the parameters, in order; what system identification fits."""
        return tuple(field.name for field in fields(cls))
