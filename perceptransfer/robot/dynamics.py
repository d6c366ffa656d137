"""What a real arm does to a command: the parameters that differ between a simulator and a robot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from perceptransfer.core.errors import ConfigError, GateError
from perceptransfer.policy.gates.units import parse_quantity
from perceptransfer.policy.gates.yaml_file import read_yaml

LIMITS = {
    "joint_friction": (0.0, 1.0),
    "puck_friction": (0.0, 2.0),
    "delay": (0.0, 0.5),
    "backlash": (0.0, 0.3),
    "payload": (0.0, 2.0),
    "gear": (0.1, 3.0),
}
DIMENSIONS = {
    "joint_friction": "torque",
    "puck_friction": "force",
    "delay": "time",
    "backlash": "angle",
    "payload": "mass",
    "gear": "share",
}
_LIKE = "see the examples in configs/dynamics"


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

    @classmethod
    def read(cls, path: Path | str) -> Dynamics:
        """Parameters from YAML, every number with its unit (``delay: 50 ms``); what is not named keeps its default.

        Raises:
            ConfigError: no such file, no YAML, an unknown key or one given twice, a missing or wrong unit, or a value
                out of its limits.
        """
        path = Path(path)
        try:
            given = read_yaml(path)
            if not isinstance(given, Mapping):
                raise ConfigError("holds no parameters", where=path, remedy=_LIKE)
            for key in given:
                if key not in DIMENSIONS:
                    raise ConfigError(
                        "unknown key", where=path, key=str(key), remedy=f"known are {', '.join(DIMENSIONS)}"
                    )
            return cls(
                **{key: parse_quantity(it, DIMENSIONS[key], where=str(path), key=key) for key, it in given.items()}
            )
        except GateError as error:  # the readers are the gates' own
            remedy = error.remedy if error.key else _LIKE
            raise ConfigError(error.problem, where=path, key=error.key, remedy=remedy) from None
        except ConfigError as error:
            key = error.key and error.key.removeprefix("dynamics.")
            raise ConfigError(error.problem, where=path, key=key, remedy=error.remedy) from None
