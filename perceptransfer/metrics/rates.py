"""Exact bounds of a rate from counts, also where nothing was seen to happen."""

from __future__ import annotations

from typing import NamedTuple

from scipy.special import betaincinv

from perceptransfer.core.errors import UndefinedMetricError


class RateInterval(NamedTuple):
    """``events / trials`` and its two-sided interval."""

    rate: float
    low: float
    high: float


def rate_interval(events: int, trials: int, level: float = 0.95) -> RateInterval:
    """Rate with its exact binomial interval: never covers less than ``level``, whatever the true rate.

    Trials are taken for independent. Ticks of one episode are not: an interval over ticks is then too narrow, and one
    over episodes is the honest one.

    Paper: Clopper & Pearson, The use of confidence or fiducial limits, Biometrika 1934.

    Raises:
        UndefinedMetricError: no trials, more events than trials, or a level outside 0 to 1.
    """
    if not 0 <= events <= trials or trials < 1 or not 0 < level < 1:
        raise UndefinedMetricError(f"no rate of {events} in {trials} at level {level}", key="trials")
    tail = (1 - level) / 2
    low = float(betaincinv(events, trials - events + 1, tail)) if events else 0.0
    high = float(betaincinv(events + 1, trials - events, 1 - tail)) if events < trials else 1.0
    return RateInterval(events / trials, low, high)


def rule_of_three(trials: int, level: float = 0.95) -> float:
    """Upper bound, at one-sided ``level``, of the rate of what never happened in ``trials``: ``1 − (1 − level)^(1/n)``.

    This is the exact form; at 95 % and large n it is the 3/n that gave the rule its name.

    Paper: Hanley & Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 1983.

    Raises:
        UndefinedMetricError: no trials, or a level outside 0 to 1.
    """
    if trials < 1 or not 0 < level < 1:
        raise UndefinedMetricError(f"no bound from {trials} trials at level {level}", key="trials")
    return float(1 - (1 - level) ** (1 / trials))
