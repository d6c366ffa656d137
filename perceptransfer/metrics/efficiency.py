"""How many real labels a score costs: curves of score over the number n of real labels.

A curve is a pair of equally long sequences ``n`` (distinct, non-negative) and ``scores``. Between two measured
points with n > 0 the score is linear in log n. n = 0 is a point of its own: log n does not reach it, so nothing is
interpolated between it and the smallest positive n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats
from perceptransfer.metrics.direction import Direction, orient
from perceptransfer.metrics.estimate import Estimate


def n_to_target(
    n: Sequence[float], scores: Sequence[float], target: float, *, direction: Direction | str | None
) -> Estimate:
    """Real labels needed to reach ``target``.

    The FIRST crossing counts: the smallest n from which a label budget reaches the target. Measured curves are not
    monotone; when a larger measured n falls below the target again, the value stands and ``reason`` says so.
    Smoothing (isotonic regression) would move points that were measured and is not done.

    The value is ``None`` when the target is reached nowhere (``above`` = largest n), or already at the smallest
    positive n but not at 0, so that the crossing lies where nothing can be interpolated (``at_most`` = that n).

    Raises:
        UndefinedMetricError: the curve is empty, has doubled, negative or non-finite entries, or no direction.
    """
    labels, values = _curve(n, scores)
    goal = orient(target, direction)
    oriented = np.array([orient(value, direction) for value in values])
    reached = np.flatnonzero(oriented >= goal)
    if not len(reached):
        return Estimate(None, f"target {target:g} not reached with {labels[-1]:g} labels", above=float(labels[-1]))
    first = int(reached[0])
    dips = [f"{label:g}" for label, value in zip(labels[first:], oriented[first:], strict=True) if value < goal]
    caveat = f"first crossing; below the target again at n = {', '.join(dips)}" if dips else None
    if oriented[first] == goal or labels[first] == 0:
        return Estimate(float(labels[first]), caveat)
    if first == 0 or labels[first - 1] == 0:
        above = None if first == 0 else 0.0
        reason = f"target {target:g} already exceeded at the smallest n = {labels[first]:g}"
        return Estimate(None, reason, above=above, at_most=float(labels[first]))
    share = (goal - oriented[first - 1]) / (oriented[first] - oriented[first - 1])
    step = np.log(labels[first] / labels[first - 1])
    return Estimate(float(labels[first - 1] * np.exp(share * step)), caveat)


def label_savings(reference: Estimate, spent: Estimate | float) -> Estimate:
    """n_ref ÷ n: how many times more labels the reference needs for the same score.

    ``reference`` and ``spent`` come from `n_to_target`, or ``spent`` is a number of labels. A censored reference
    gives a censored saving, with its bounds divided.
    """
    used = spent if isinstance(spent, Estimate) else Estimate(float(spent))
    if used.value is None:
        return Estimate(None, f"labels spent unknown: {used.reason}")
    if used.value <= 0:
        return Estimate(None, "no labels spent: the saving has no finite value")
    if reference.value is not None:
        return Estimate(reference.value / used.value, reference.reason)
    above, at_most = (None if bound is None else bound / used.value for bound in (reference.above, reference.at_most))
    return Estimate(None, f"censored: {reference.reason}", above=above, at_most=at_most)


def label_savings_at(
    n: Sequence[float],
    scores: Sequence[float],
    *,
    spent: float,
    reached: float,
    direction: Direction | str | None,
) -> Estimate:
    """`label_savings` of an arm that reaches the score ``reached`` with ``spent`` labels, against a reference curve."""
    return label_savings(n_to_target(n, scores, reached, direction=direction), spent)


def common_range(*curves: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest positive n that all curves cover.

    Raises:
        UndefinedMetricError: they share no range.
    """
    positive = [[value for value in n if value > 0] for n in curves]
    if not positive or not all(positive):
        raise UndefinedMetricError("a curve without a point at n > 0", key="n")
    low, high = max(min(n) for n in positive), min(max(n) for n in positive)
    if low >= high:
        raise UndefinedMetricError(f"the curves share no range of n ({low:g} to {high:g})", key="n")
    return float(low), float(high)


def area_under_fraction_curve(
    n: Sequence[float], scores: Sequence[float], *, between: tuple[float, float] | None = None
) -> float:
    """Mean score over log n: trapezoid from the smallest to the largest n ÷ the range; the unit is the score's.

    ``between`` is the `common_range` of the arms to be compared; without it, the curve's own range.

    Raises:
        UndefinedMetricError: the curve is no curve, or does not cover ``between``.
    """
    labels, values = _curve(n, scores)
    own_low, own_high = common_range(n)
    low, high = between or (own_low, own_high)
    if not own_low <= low < high <= own_high:
        raise UndefinedMetricError(f"the curve covers {own_low:g} to {own_high:g}, not {low:g} to {high:g}", key="n")
    positive = labels > 0
    x, y = np.log(labels[positive]), values[positive]
    knots = np.unique(np.concatenate([np.log([low, high]), x[(x > np.log(low)) & (x < np.log(high))]]))
    return float(np.trapezoid(np.interp(knots, x, y), knots) / (knots[-1] - knots[0]))


def _curve(n: Sequence[float], scores: Sequence[float]) -> tuple[Floats, Floats]:
    labels, values = np.asarray(n, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != values.shape or not len(labels):
        raise UndefinedMetricError(f"a curve of {labels.shape} n and {values.shape} scores", key="n")
    if not (np.isfinite(labels).all() and np.isfinite(values).all()) or labels.min() < 0:
        raise UndefinedMetricError("a curve with negative n, NaN or infinity", key="n", remedy="leave that cell out")
    if len(np.unique(labels)) < len(labels):
        raise UndefinedMetricError("the same n twice in a curve", key="n", remedy="average the seeds first")
    order = np.argsort(labels)
    return labels[order], values[order]
