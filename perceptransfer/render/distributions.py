"""Numbers that are drawn. The unit of a parameter stands at the end of its name, and its plausible limits here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError

LIMITS = {
    "m": (-100.0, 100.0, "metres"),
    "deg": (-360.0, 360.0, "degrees"),
    "px": (0.0, 100.0, "pixels"),
    "stops": (-10.0, 10.0, "stops of exposure"),
    "turns": (-1.0, 1.0, "turns, 1 is the full circle"),
    "share": (0.0, 1.0, "a share of 1"),
    "gain": (0.0, 20.0, "a factor"),
    "std": (0.0, 1.0, "a standard deviation, 1 is full scale"),
    "count": (0.0, 1000.0, "a whole number of things"),
    "w": (0.0, 1e5, "watts"),
}
"""Ending of a name → smallest and largest value that makes sense, and the unit in words."""


class Distribution(Configurable):
    """One number at a time. ``low`` and ``high`` bound every draw."""

    low: float
    high: float

    def sample(self, rng: np.random.Generator) -> float:
        """Draw."""
        raise NotImplementedError


class Constant(Distribution):
    """Always ``value``."""

    def __init__(self, value: float) -> None:
        self.low = self.high = _number(value, "value")

    def sample(self, rng: np.random.Generator) -> float:
        return self.low


class Uniform(Distribution):
    """Evenly between ``low`` and ``high``."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = _ordered(low, high)

    def sample(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))


class LogUniform(Distribution):
    """Evenly in the logarithm between ``low`` > 0 and ``high``."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = _ordered(low, high)
        if self.low <= 0:
            raise ConfigError(f"needs numbers above 0, got {low}", key="low", remedy="use a uniform distribution")

    def sample(self, rng: np.random.Generator) -> float:
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, self.low), self.high)  # exp(log(x)) may lie one bit outside


class Normal(Distribution):
    """Normal with ``mean`` and ``std``, drawn again until it lies between ``low`` and ``high``.

    Without limits those are three standard deviations either side.
    """

    def __init__(self, mean: float, std: float, low: float | None = None, high: float | None = None) -> None:
        self.mean, self.std = _number(mean, "mean"), _number(std, "std")
        if std < 0:
            raise ConfigError(f"a standard deviation below 0: {std}", key="std", remedy="give 0 or more")
        self.low, self.high = _ordered(mean - 3 * std if low is None else low, mean + 3 * std if high is None else high)
        if not self.low - 2 * std <= mean <= self.high + 2 * std:
            raise ConfigError(
                f"the mean {mean} lies more than two standard deviations outside {low} to {high}",
                key="mean",
                remedy="move the limits, or take a uniform distribution",
            )

    def sample(self, rng: np.random.Generator) -> float:
        for _ in range(1000):
            drawn = float(rng.normal(self.mean, self.std))
            if self.low <= drawn <= self.high:
                return drawn
        return min(max(self.mean, self.low), self.high)  # an interval of (nearly) no width


class Choice(Distribution):
    """One of ``values``, with ``weights`` that need not sum to 1."""

    def __init__(self, values: list[float], weights: list[float] | None = None) -> None:
        if not values:
            raise ConfigError("nothing to choose from", key="values", remedy="give at least one number")
        self.values = [_number(value, "values") for value in values]
        given = [1.0] * len(values) if weights is None else [_number(it, "weights") for it in weights]
        if len(given) != len(values) or min(given) < 0 or sum(given) <= 0:
            raise ConfigError("do not fit the values", key="weights", remedy="give one weight >= 0 for each value")
        self.low, self.high = min(self.values), max(self.values)
        self._shares = np.asarray(given) / sum(given)

    def sample(self, rng: np.random.Generator) -> float:
        return self.values[int(rng.choice(len(self.values), p=self._shares))]


SHORT: dict[str, type[Distribution]] = {
    "constant": Constant, "uniform": Uniform, "log_uniform": LogUniform, "normal": Normal, "choice": Choice,
}  # fmt: skip
"""Names for files: ``{log_uniform: [0.1, 2]}``, or ``{normal: {mean: 0, std: 7}}``."""

Number = Distribution | float | Sequence[float]
"""How a parameter is given: a distribution, a fixed number, or [low, high] for an even spread."""


def as_distribution(given: object, name: str) -> Distribution:
    """The distribution that ``given`` stands for, within the limits of the unit that ends ``name``.

    Raises:
        ConfigError: no number, high below low, or values that the unit rules out.
    """
    try:
        if isinstance(given, Distribution):
            made = given
        elif isinstance(given, list | tuple):
            if len(given) != 2:
                raise ConfigError(f"needs a number or [low, high], got {given!r}")
            made = Uniform(*given)
        else:
            made = Constant(_number(given, name))
    except ConfigError as error:
        raise ConfigError(error.problem, key=name, remedy=error.remedy or _remedy(name)) from None
    unit = LIMITS.get(name.rpartition("_")[2])
    if unit and not unit[0] <= made.low <= made.high <= unit[1]:
        raise ConfigError(f"{made.low:g} to {made.high:g} cannot be right", key=name, remedy=_remedy(name))
    return made


def _remedy(name: str) -> str:
    low, high, unit = LIMITS.get(name.rpartition("_")[2], (-math.inf, math.inf, "a number without unit"))
    return f"give a number, [low, high] or a distribution in {unit}, between {low:g} and {high:g}"


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"needs a finite number, got {value!r}", key=key)
    return float(value)


def _ordered(low: object, high: object) -> tuple[float, float]:
    first, second = _number(low, "low"), _number(high, "high")
    if second < first:
        raise ConfigError(
            f"the largest value {second:g} is below the smallest {first:g}", key="high", remedy="swap them"
        )
    return first, second
