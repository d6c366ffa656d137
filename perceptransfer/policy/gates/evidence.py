"""What the gate sees at one control tick, and the checks that come before any arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Channel: unit, and shape in joints (n) and dimensions of the tool's space (k).
CHANNELS: dict[str, tuple[str, str]] = {
    "joint_position": ("rad", "n"),
    "joint_velocity": ("rad/s", "n"),
    "joint_temperature": ("degC", "n"),
    "tool_position": ("m", "k"),
    "tool_jacobian": ("m/rad", "kn"),
    "contact_force": ("N", "k"),  # what the tool exerts on its surroundings
    "actuator_delay": ("s", ""),  # from command to motion, measured
    "human_distance": ("m", ""),  # between the nearest person and the nearest point of the robot
    "controller_health": ("1", ""),  # 1: every controller is up; share of those that are
}


class Reading(NamedTuple):
    """A measured value in the channel's unit and when it was taken, in seconds of the robot's clock."""

    value: Floats
    time: float


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Evidence:
    """Readings by channel (`CHANNELS`), and whether a person has taken over or pressed stop."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    human: bool = False  # a plain bool; anything but False counts as a person's hand

    @classmethod
    def taken(cls, time: float, human: bool = False, **values: object) -> Evidence:
        """Readings that were all taken at one time."""
        made = {name: Reading(np.asarray(value, dtype=np.float64), time) for name, value in values.items()}
        return cls(made, human)


@dataclass(frozen=True)
class Freshness:
    """A reading counts if it is at most ``max_age`` seconds old and at most ``max_lead`` from the future."""

    max_age: float
    max_lead: float


def invalid_readings(
    evidence: Evidence, shapes: Mapping[str, tuple[int, ...]], now: float, freshness: Freshness
) -> list[str]:
    """Why the needed channels (the keys of ``shapes``) cannot be relied on: ``name missing``, ``name stale`` ...

    Empty if all are there, of the right shape, finite, and neither old nor from the future. A time that is NaN is
    neither fresh nor old and therefore not fresh: every comparison is written so that NaN fails it.
    """
    found: list[str] = [] if isinstance(evidence.human, bool) else ["human flag is no boolean"]
    if not math.isfinite(now):
        return [*found, "clock not finite"]
    for name, shape in shapes.items():
        reading = evidence.readings.get(name)
        problem = "missing" if reading is None else _problem(reading, shape, now, freshness)
        if problem is not None:
            found.append(f"{name} {problem}")
    return found


def _problem(reading: Reading, shape: tuple[int, ...], now: float, freshness: Freshness) -> str | None:
    value = reading.value
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or value.shape != shape:
        return "of wrong shape or type"
    if not all_finite(value):
        return "not finite"
    age = now - reading.time
    if not -freshness.max_lead <= age:
        return "from the future"
    if not age <= freshness.max_age:
        return "stale"
    return None


def all_finite(value: Floats) -> bool:
    """Whether no element is NaN or infinite (several times faster than NumPy on a handful of numbers)."""
    return all(map(math.isfinite, _flat(value)))


def _flat(value: Floats) -> Iterable[float]:
    flat: list[float] = value.ravel().tolist()
    return flat
