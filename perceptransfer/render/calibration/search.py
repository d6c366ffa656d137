"""A black-box search in the unit box, over after a given number of evaluations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

Point = NDArray[np.float64]
INSIDE = 0.02  # a start on a wall would leave the line search no slope to see


class _Spent(Exception):
    """The budget is used up."""


def minimise(cost: Callable[[Point], float], start: Point, budget: int) -> tuple[Point, int]:
    """The best point met and the number of evaluations, at most ``budget``.

    Powell's method (Powell 1964): line searches along the axes first, and the axes are parameters that each change
    something else about a picture. Without random numbers; ``start`` counts as a candidate.
    """
    best, seen = (np.inf, start), 0

    def counted(point: Point) -> float:
        nonlocal best, seen
        if seen >= budget:
            raise _Spent
        seen += 1
        value = cost(point.clip(0, 1))
        if value < best[0]:
            best = value, point.clip(0, 1).copy()
        return value

    try:
        counted(start)
        bounds = [(0.0, 1.0)] * len(start)
        while True:  # again from the best point, until the budget is spent or nothing is gained
            before = best[0]
            scipy.optimize.minimize(
                counted, best[1].clip(INSIDE, 1 - INSIDE), method="Powell", bounds=bounds,
                options={"xtol": 0.03, "ftol": 1e-3},
            )  # fmt: skip
            if best[0] > 0.999 * before:
                break
    except _Spent:
        pass
    return best[1], seen
