"""The two corners of a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.evidence import Floats


def bounds(low: Sequence[float], high: Sequence[float], margin: float) -> tuple[Floats, Floats]:
    """Both corners as arrays.

    Raises:
        GateError: different lengths, nothing in them, or no room between them after the margin.
    """
    lower, upper = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    if lower.shape != upper.shape or lower.ndim != 1 or not len(lower):
        raise GateError("low and high differ in length or are empty", key="low", remedy="give one number per axis")
    if not (margin >= 0 and bool((upper - lower > 2 * margin).all())):
        raise GateError(
            f"nothing is left between {low} and {high} with a margin of {margin}",
            key="margin",
            remedy="keep low + margin below high - margin",
        )
    return lower, upper
