"""Bootstrap intervals over training seeds and test groups, from counts instead of items.

Seeds are drawn first, test groups second. All seeds are scored on the same test set, so one draw of groups holds
for all seeds of that draw (crossed, not nested): drawing anew for each seed would average test-set noise away and
make intervals too narrow. Scores are means of recalls over classes (balanced accuracy) or plain means (one class).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats, finite
from perceptransfer.metrics.direction import Direction, orient
from perceptransfer.metrics.estimate import Interval

DRAWS, LEVEL = 10_000, 0.95
_CHUNK = 1_000  # draws whose group indices are held in memory at once


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """Sufficient statistics of one arm.

    ``hits`` ``[S, G, C]`` are summed per seed, test group and class, ``totals`` ``[G, C]`` count the items. The score
    of a seed is the mean over classes of summed hits ÷ summed totals. Where totals depend on the model, as the union of
    an IoU does, they are ``[S, G, C]`` as well, and ``items`` is the number of test items.
    """

    hits: Floats
    totals: Floats
    items: int = 0

    def __post_init__(self) -> None:
        if self.hits.ndim != 3 or self.totals.shape not in (self.hits.shape, self.hits.shape[1:]) or not self.hits.size:
            raise UndefinedMetricError(f"hits {self.hits.shape} do not fit totals {self.totals.shape}", key="hits")
        empty = self.totals.ndim == 2 and not (self.totals.sum(axis=1) > 0).all()
        if not np.isfinite(self.hits).all() or empty:
            raise UndefinedMetricError("a test group without items, or a score that is NaN or infinite", key="hits")

    @property
    def seeds(self) -> int:
        """Number of training seeds S."""
        return len(self.hits)

    @property
    def n_items(self) -> int:
        """Number of test items."""
        return self.items or int(self.totals.sum())

    def scores(self) -> Floats:
        """Score of each seed ``[S]`` on the whole test set."""
        return _class_means(self.hits.sum(axis=1), self.totals.sum(axis=-2))

    def score(self) -> float:
        """Mean over seeds."""
        return float(self.scores().mean())


def group_counts(
    values: ArrayLike, *, groups: ArrayLike | None = None, classes: ArrayLike | None = None
) -> GroupCounts:
    """Counts from per-item values ``[S, n]`` (1/0 for correct/wrong, or an error) in the same item order for all seeds.

    ``groups`` ``[n]`` are test groups (any labels; without them each item is its own); ``classes`` ``[n]`` are true
    classes, given for balanced accuracy and left out for plain means.
    """
    items = np.asarray(values, dtype=np.float64)
    if items.ndim != 2 or 0 in items.shape:
        raise UndefinedMetricError(f"values have shape {items.shape}, not [seeds, items]", key="values")
    n = items.shape[1]
    group = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    label = np.zeros(n, int) if classes is None else np.unique(np.asarray(classes), return_inverse=True)[1]
    if len(group) != n or len(label) != n:
        raise UndefinedMetricError(f"{n} items, {len(group)} groups, {len(label)} classes", key="groups")
    width = int(label.max()) + 1
    shape, cell = (int(group.max()) + 1, width), group * width + label
    size = shape[0] * width
    hits = np.array([np.bincount(cell, weights=row, minlength=size).reshape(shape) for row in items], dtype=np.float64)
    return GroupCounts(hits, np.bincount(cell, minlength=size).reshape(shape).astype(np.float64))


def seed_scores(scores: Sequence[float]) -> GroupCounts:
    """Counts of an arm of which only one score per seed is known: its interval holds seed noise alone."""
    values = np.array([finite(score, "score") for score in scores], dtype=np.float64)
    return GroupCounts(values.reshape(-1, 1, 1), np.ones((1, 1)))


def resampled_scores(counts: GroupCounts, seed_weights: ArrayLike, group_weights: ArrayLike) -> Floats:
    """Score ``[B]`` of each draw, from how often it holds each seed ``[B, S]`` and each test group ``[B, G]``."""
    by_seed, by_group = (np.asarray(weights, dtype=np.float64) for weights in (seed_weights, group_weights))
    _, groups, classes = counts.hits.shape

    def drawn(sums: Floats) -> Floats:
        flat = by_group @ sums.transpose(1, 0, 2).reshape(groups, -1)
        return np.asarray(flat.reshape(len(by_group), -1, classes), dtype=np.float64)

    totals = counts.totals if counts.totals.ndim == 3 else counts.totals[None]
    scores = _class_means(drawn(counts.hits), drawn(totals))
    # A seed that is not drawn may be without a score.
    return np.asarray((np.where(by_seed > 0, scores, 0.0) * by_seed).sum(axis=1) / by_seed.sum(axis=1))


def bootstrap_draws(
    arms: Mapping[str, GroupCounts],
    *,
    seeds: Mapping[str, Sequence[int]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Floats]:
    """Score ``[draws]`` of each arm, all arms resampled together, for intervals of anything computed from them.

    Arms are paired by seed, and by test group where they have equally many groups. ``seeds`` names the training seeds
    of each arm in the order of its counts, for arms that lack some; without it all arms have the same. A draw without
    any seed of an arm takes each of that arm's once. An arm's draws depend on ``seed``, on all training seeds together
    and on its own number of groups only, not on which other arms stand beside it.

    Raises:
        UndefinedMetricError: no arm, or, where ``seeds`` does not say which, arms with different numbers of seeds.
    """
    sizes = {counts.seeds for counts in arms.values()}
    if seeds is None and len(sizes) == 1:
        seeds = dict.fromkeys(arms, range(*sizes))
    if not arms or seeds is None or any(len(set(seeds[name])) != counts.seeds for name, counts in arms.items()):
        raise UndefinedMetricError(f"arms with {sorted(sizes)} seeds cannot be paired", key="seeds")
    drawn = sorted({one for name in arms for one in seeds[name]})
    weights = _weights(np.random.default_rng([seed, 0]), draws, len(drawn))
    by_seed = {name: weights[:, [drawn.index(one) for one in seeds[name]]] for name in arms}
    for kept in by_seed.values():
        kept[kept.sum(axis=1) == 0] = 1
    result = {name: np.empty(draws) for name in arms}
    for groups in {counts.hits.shape[1] for counts in arms.values()}:
        rng = np.random.default_rng([seed, groups])
        for start in range(0, draws, _CHUNK):
            part = slice(start, min(start + _CHUNK, draws))
            by_group = _weights(rng, part.stop - start, groups)
            for name, counts in arms.items():
                if counts.hits.shape[1] == groups:
                    result[name][part] = resampled_scores(counts, by_seed[name][part], by_group)
    return result


def interval_of(draws: Floats, *, seeds: int, level: float = LEVEL) -> Interval:
    """Percentile interval (Efron & Tibshirani 1993, ch. 13); draws that are not finite lower ``defined``."""
    kept = draws[np.isfinite(draws)]
    if not len(kept) or not 0 < level < 1:
        raise UndefinedMetricError(f"no interval at level {level} from {len(kept)} defined draws", key="level")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, seeds, len(draws), len(kept) / len(draws))


def hierarchical_bootstrap(counts: GroupCounts, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0) -> Interval:
    """Interval of the mean score over seeds and test groups."""
    return interval_of(bootstrap_draws({"": counts}, draws=draws, seed=seed)[""], seeds=counts.seeds, level=level)


def paired_bootstrap(
    arm: GroupCounts,
    other: GroupCounts,
    *,
    direction: Direction | str | None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Interval of the difference, positive when ``arm`` is better, with seeds and test groups drawn for both at once.

    Raises:
        UndefinedMetricError: the arms differ in seeds or test set, or no direction is declared.
    """
    if arm.hits.shape[1:] != other.hits.shape[1:] or (
        arm.totals.ndim == 2 and not np.array_equal(arm.totals, other.totals)
    ):
        raise UndefinedMetricError("arms with different test sets cannot be paired", key="groups")
    drawn = bootstrap_draws({"arm": arm, "other": other}, draws=draws, seed=seed)
    return interval_of(orient(1.0, direction) * (drawn["arm"] - drawn["other"]), seeds=arm.seeds, level=level)


def _weights(rng: np.random.Generator, draws: int, size: int) -> NDArray[np.int64]:
    """How often each of ``size`` units comes up in each of ``draws`` samples with replacement, ``[draws, size]``."""
    index = rng.integers(0, size, (draws, size)) + np.arange(draws)[:, None] * size
    return np.bincount(index.ravel(), minlength=draws * size).reshape(draws, size)


def _class_means(hits: Floats, totals: Floats) -> Floats:
    """Mean of hits ÷ totals over the last axis, classes without items left out; NaN where no class has any."""
    present = totals > 0
    recalls = np.where(present, hits / np.where(present, totals, 1.0), 0.0)
    count = present.sum(axis=-1)
    return np.asarray(np.where(count > 0, recalls.sum(axis=-1) / np.maximum(count, 1), np.nan), dtype=np.float64)
