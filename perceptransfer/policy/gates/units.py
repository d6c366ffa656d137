"""Numbers with units: a limit without a unit is refused, one in another unit of its kind is converted."""

from __future__ import annotations

import math
import re

from perceptransfer.core.errors import GateError

# Dimension: unit -> factor to the first one, in which everything is computed.
UNITS: dict[str, dict[str, float]] = {
    "length": {"m": 1.0, "cm": 0.01, "mm": 0.001},
    "speed": {"m/s": 1.0, "cm/s": 0.01, "mm/s": 0.001},
    "angle": {"rad": 1.0, "deg": math.pi / 180},
    "angular speed": {"rad/s": 1.0, "deg/s": math.pi / 180, "rpm": math.pi / 30},
    "force": {"N": 1.0, "kN": 1000.0},
    "torque": {"Nm": 1.0, "N·m": 1.0},
    "mass": {"kg": 1.0, "g": 0.001},
    "stiffness": {"N/m": 1.0, "N/mm": 1000.0},
    "temperature": {"degC": 1.0},
    "time": {"s": 1.0, "ms": 0.001},
    "share": {"1": 1.0, "%": 0.01},
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


def si_unit(dimension: str) -> str:
    """The unit in which quantities of a dimension are computed."""
    return next(iter(UNITS[dimension]))


def parse_quantity(value: object, dimension: str, *, where: str | None = None, key: str | None = None) -> float:
    """``"200 mm/s"`` as a number in the dimension's first unit.

    Raises:
        GateError: no number, not finite, no unit, or a unit of another dimension.
    """
    known = UNITS[dimension]
    remedy = f"write a number and one of the units {', '.join(known)}, such as '0.2 {next(iter(known))}'"
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        problem = f"{value} has no unit" if bare else f"{value!r} is not a quantity"
        raise GateError(f"{problem}, a {dimension} is needed", where=where, key=key, remedy=remedy)
    number, unit = float(found[1]), found[2]
    if not unit:
        raise GateError(f"{value!r} has no unit, a {dimension} is needed", where=where, key=key, remedy=remedy)
    if unit not in known:
        raise GateError(f"unit {unit!r} does not measure a {dimension}", where=where, key=key, remedy=remedy)
    if not math.isfinite(number):
        raise GateError(f"{value!r} is not finite", where=where, key=key, remedy=remedy)
    return number * known[unit]
