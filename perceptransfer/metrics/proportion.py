"""A share of successes with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from perceptransfer.core.errors import UndefinedMetricError


@dataclass(frozen=True)
class Proportion:
    """``successes`` of ``trials``, with the interval ``low .. high`` at ``level``; all shares in 0..1."""

    successes: int
    trials: int
    low: float
    high: float
    level: float = 0.95

    @property
    def value(self) -> float:
        """Successes over trials."""
        return self.successes / self.trials

    def __str__(self) -> str:
        return f"{self.successes}/{self.trials} ({100 * self.low:.0f}–{100 * self.high:.0f} %)"


def wilson(successes: int, trials: int, level: float = 0.95) -> Proportion:
    """Score interval of a proportion (Wilson 1927), which also holds near 0 and 1 and for few trials.

    The bounds are the shares p with ``|successes/trials − p| = z·√(p(1 − p)/trials)``.

    Raises:
        UndefinedMetricError: no trials, more successes than trials, or a level outside 0..1.
    """
    if trials < 1 or not 0 <= successes <= trials or not 0 < level < 1:
        raise UndefinedMetricError(f"{successes} of {trials} successes have no interval at {level}", key="trials")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = successes / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    # Exactly 0 and 1 there; the square root leaves a rounding error.
    low = 0.0 if not successes else middle - half
    high = 1.0 if successes == trials else middle + half
    return Proportion(successes, trials, low, high, level)
