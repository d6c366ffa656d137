"""Is a difference between arms more than seed noise: sign-flip test over paired seeds, Holm over arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats, finite
from perceptransfer.metrics.direction import Direction, orient
from perceptransfer.metrics.estimate import Interval
from perceptransfer.metrics.intervals import DRAWS, GroupCounts, paired_bootstrap

MIN_SEEDS = 6
"""With 5 paired seeds the smallest two-sided p is 2/2^5 = .0625: nothing could pass .05."""
_EXACT_UP_TO, _FLIPS = 20, 100_000


@dataclass(frozen=True)
class SignFlip:
    """Two-sided sign-flip test of a mean paired difference; ``p`` is ``None`` when it is not testable.

    ``smallest_p`` is the least p that this number of seeds can give; ``p_holm`` is p after Holm over the arms.
    """

    mean: float
    seeds: int
    smallest_p: float
    p: float | None
    p_holm: float | None = None

    @property
    def testable(self) -> bool:
        """Whether there are enough seeds."""
        return self.p is not None

    def __str__(self) -> str:
        if self.p is None:
            return f"not testable ({self.seeds} seeds; the smallest possible p is {self.smallest_p:.3g})"
        return f"p = {self.p:.3g}" + ("" if self.p_holm is None else f", Holm {self.p_holm:.3g}")


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference; differences are positive when the arm is better."""

    difference: float
    interval: Interval
    test: SignFlip


def sign_flip_test(differences: Sequence[float], *, min_seeds: int = MIN_SEEDS) -> SignFlip:
    """Exact test that paired differences are symmetric about 0 (Fisher 1935): all 2^n sign vectors are enumerated.

    p is the share of sign vectors whose absolute sum is at least the observed one. Above 20 pairs 100 000 random
    vectors stand in, with the observed one counted among them (Phipson & Smyth 2010).
    """
    values = np.array([finite(value, "difference") for value in differences], dtype=np.float64)
    n = len(values)
    if not n:
        raise UndefinedMetricError("no paired differences", key="differences")
    mean, exact = float(values.mean()), n <= _EXACT_UP_TO
    smallest = 2 / 2**n if exact else 1 / (_FLIPS + 1)
    if n < max(min_seeds, 1):
        return SignFlip(mean, n, smallest, None)
    # Rounding must not part sums that are equal in exact arithmetic from the observed one.
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if exact:
        p = float((np.abs(_all_signed_sums(values)) >= observed).mean())
    else:
        signs = np.random.default_rng(0).integers(0, 2, (_FLIPS, n), dtype=np.int8)
        p = float((1 + (np.abs((2.0 * signs - 1) @ values) >= observed).sum()) / (_FLIPS + 1))
    return SignFlip(mean, n, smallest, p)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values (Holm 1979): the k-th smallest of m times m − k + 1, made monotone, at most 1.

    Raises:
        UndefinedMetricError: a p value outside 0 to 1.
    """
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise UndefinedMetricError(f"p values outside 0 to 1: {dict(p_values)}", key="p_values")
    adjusted, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def compare_arms(
    arms: Mapping[str, GroupCounts],
    reference: GroupCounts,
    *,
    direction: Direction | str | None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Each arm against the reference, seed by seed: paired bootstrap, sign-flip test, Holm over the arms."""
    sign, result = orient(1.0, direction), {}
    for name, counts in arms.items():
        interval = paired_bootstrap(counts, reference, direction=direction, draws=draws, seed=seed)
        test = sign_flip_test(list(sign * (counts.scores() - reference.scores())))
        result[name] = Comparison(test.mean, interval, test)
    corrected = holm({name: row.test.p for name, row in result.items() if row.test.p is not None})
    return {name: replace(row, test=replace(row.test, p_holm=corrected.get(name))) for name, row in result.items()}


def _all_signed_sums(values: Floats) -> Floats:
    """``[2^n]``: the sum under every vector of signs, by doubling."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
