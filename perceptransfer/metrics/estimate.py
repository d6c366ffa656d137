"""A number that may be missing, and then says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import finite

P = ParamSpec("P")


@dataclass(frozen=True)
class Interval:
    """Bootstrap interval ``low .. high`` at ``level``, from ``draws`` draws over ``seeds`` training seeds.

    ``defined`` is the share of draws in which the number had a value; the others are left out of the bounds.
    """

    low: float
    high: float
    level: float
    seeds: int
    draws: int
    defined: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """``value`` with its interval, or ``None`` with the ``reason``; a reason beside a value is a caveat.

    ``above`` and ``at_most`` bound a censored value: it is larger than the one, not larger than the other.
    """

    value: float | None
    reason: str | None = None
    above: float | None = None
    at_most: float | None = None
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise UndefinedMetricError("a missing value without a reason", key="reason")
        if self.value is not None:
            object.__setattr__(self, "value", finite(self.value, "value"))


def attempt(function: Callable[P, float], *args: P.args, **kwargs: P.kwargs) -> Estimate:
    """``function(*args, **kwargs)`` as an estimate: an `UndefinedMetricError` becomes the reason for its absence."""
    try:
        return Estimate(function(*args, **kwargs))
    except UndefinedMetricError as error:
        return Estimate(None, error.problem)
