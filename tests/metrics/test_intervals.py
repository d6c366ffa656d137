"""Bootstrap against loops over repeated items, scipy's bootstrap and exact variances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    GroupCounts,
    bootstrap_draws,
    group_counts,
    hierarchical_bootstrap,
    interval_of,
    paired_bootstrap,
    resampled_scores,
    seed_scores,
)


def sample(seed, seeds=6, n=120, classes=4, groups=None):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    correct = rng.random((seeds, n)) < 0.5 + 0.1 * labels
    return correct, labels, None if groups is None else rng.integers(0, groups, n)


def slow_score(correct, labels, groups, seed_weights, group_weights):
    """Repeat items and average, one seed after another; with labels, class by class."""
    scores = []
    for seed, times in enumerate(seed_weights):
        items = np.repeat(np.arange(len(groups)), group_weights[groups])
        right = correct[seed][items]
        if labels is None:
            score = right.mean()
        else:
            truth = labels[items]
            score = np.mean([right[truth == k].mean() for k in set(truth)])
        scores += [score] * times
    return np.mean(scores)


@pytest.mark.parametrize("groups", [None, 9])
@pytest.mark.parametrize("balanced", [False, True])
def test_weighted_counts_equal_repeated_items(groups, balanced):
    correct, labels, group = sample(1, groups=groups)
    group = np.arange(len(labels)) if group is None else group
    classes = labels if balanced else None
    counts = group_counts(correct, groups=group, classes=classes)
    rng = np.random.default_rng(5)
    size = counts.hits.shape[1]
    by_seed, by_group = rng.multinomial(6, np.full(6, 1 / 6), 20), rng.multinomial(size, np.full(size, 1 / size), 20)
    expected = [slow_score(correct, classes, group, s, g) for s, g in zip(by_seed, by_group, strict=True)]
    np.testing.assert_allclose(resampled_scores(counts, by_seed, by_group), expected)


def test_seed_scores_equal_scikit_learn():
    correct, labels, _ = sample(2)
    predicted = np.where(correct, labels, (labels + 1) % 4)
    counts = group_counts(correct, classes=labels)
    expected = [balanced_accuracy_score(labels, row) for row in predicted]
    np.testing.assert_allclose(counts.scores(), expected)
    assert counts.score() == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(group_counts(correct).scores(), correct.mean(axis=1))


def test_one_seed_is_scipys_bootstrap_of_a_mean():
    values = np.random.default_rng(3).normal(size=(1, 60))
    ours = hierarchical_bootstrap(group_counts(values))
    theirs = stats.bootstrap((values[0],), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    spread = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * spread)
    assert (ours.seeds, ours.draws, ours.level) == (1, 10_000, 0.95)


def test_variance_of_crossed_seeds_and_groups_is_the_exact_one():
    # A draw's score is the mean of a random submatrix: its variance is the classical two-way formula for sampling rows
    # and columns independently with replacement.
    values = np.random.default_rng(4).normal(size=(5, 30)) + np.random.default_rng(5).normal(size=(5, 1))
    rows, columns = values.shape
    across, along = values.mean(axis=1).var() / rows, values.mean(axis=0).var() / columns
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    exact = across + along + rest.var() / (rows * columns)
    drawn = bootstrap_draws({"a": group_counts(values)}, draws=40_000)["a"]
    assert drawn.var() == pytest.approx(exact, rel=0.05)
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * np.sqrt(exact / 40_000))


def test_grouped_items_widen_the_interval():
    scene = np.random.default_rng(6).random(20) < 0.5  # the same for all seeds: no seed noise beside the items'
    values = np.repeat(np.tile(scene, (6, 1)), 10, axis=1)
    single, grouped = (
        hierarchical_bootstrap(group_counts(values, groups=groups)) for groups in (None, np.repeat(range(20), 10))
    )
    assert (grouped.high - grouped.low) / (single.high - single.low) == pytest.approx(np.sqrt(10), rel=0.1)


def test_same_seed_same_interval_and_neighbours_do_not_matter():
    correct, _, group = sample(8, groups=12)
    counts, other = group_counts(correct, groups=group), group_counts(~correct)
    alone = bootstrap_draws({"a": counts}, draws=1500, seed=3)["a"]
    beside = bootstrap_draws({"b": other, "a": counts}, draws=1500, seed=3)["a"]
    np.testing.assert_array_equal(alone, beside)
    assert hierarchical_bootstrap(counts, seed=3) == hierarchical_bootstrap(counts, seed=3)
    one = group_counts(correct[:1])  # the draws of items move with the seed, too
    third, fourth = (bootstrap_draws({"a": one}, draws=100, seed=seed)["a"] for seed in (3, 4))
    assert not np.array_equal(third, fourth)


def test_pairing_removes_what_arms_share():
    correct, _, _ = sample(9, n=300)
    better = correct | (np.arange(300) % 10 == 0)
    arm, other = group_counts(better), group_counts(correct)
    interval = paired_bootstrap(arm, other, direction="higher")
    own = hierarchical_bootstrap(arm)
    assert 0 < interval.low <= (better.mean() - correct.mean()) <= interval.high
    assert interval.high - interval.low < own.high - own.low
    turned = paired_bootstrap(arm, other, direction="lower")
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low))
    same = paired_bootstrap(arm, arm, direction="higher")
    assert (same.low, same.high) == (0, 0)


def test_arms_that_lack_a_seed_are_paired_by_seed_and_not_by_place():
    correct, _, _ = sample(10, seeds=6, n=200)
    correct[0] = False  # one bad seed, the same in both arms
    whole, first, last = (group_counts(correct[kept]) for kept in (slice(None), slice(0, 5), slice(1, 6)))
    seeds = {"whole": range(6), "first": range(5), "last": range(1, 6)}
    drawn = bootstrap_draws({"whole": whole, "first": first, "last": last}, seeds=seeds)
    np.testing.assert_array_equal(drawn["whole"], bootstrap_draws({"whole": whole})["whole"])
    shared = np.corrcoef(drawn["whole"], drawn["first"])[0, 1]
    apart = np.corrcoef(drawn["whole"], bootstrap_draws({"first": group_counts(correct[[1, 2, 3, 4, 0]])})["first"])
    assert shared > 0.9 > abs(apart[0, 1])  # the bad seed stands at another place there
    one = bootstrap_draws({"whole": whole, "one": group_counts(correct[3:4])}, seeds={"whole": range(6), "one": [3]})
    assert one["one"].mean() == pytest.approx(correct[3].mean(), abs=0.01)
    with pytest.raises(UndefinedMetricError):
        bootstrap_draws({"first": first}, seeds={"first": [0, 1, 2, 3, 3]})


def test_scores_without_items_bring_seed_noise_only():
    counts = seed_scores([0.5, 0.7, 0.9])
    assert counts.score() == pytest.approx(0.7)
    drawn = bootstrap_draws({"a": counts}, draws=5000)["a"]
    assert {round(value, 6) for value in drawn} == {round(0.5 + 0.2 * k / 3, 6) for k in range(7)}


def test_undefined_draws_are_counted():
    interval = interval_of(np.array([1.0, np.nan, 3.0, np.inf]), seeds=6, level=0.5)
    assert interval.defined == 0.5
    assert (interval.low, interval.high) == (1.5, 2.5)
    with pytest.raises(UndefinedMetricError):
        interval_of(np.array([np.nan]), seeds=6)


@given(st.integers(0, 100), st.integers(1, 4), st.integers(1, 30))
def test_bounds_stay_in_the_range_and_item_order_does_not_matter(seed, seeds, n):
    correct, labels, groups = sample(seed, seeds=seeds, n=n, groups=5)
    counts = group_counts(correct, groups=groups, classes=labels)
    interval = hierarchical_bootstrap(counts, draws=50)
    assert 0 <= interval.low <= interval.high <= 1
    order = np.random.default_rng(seed).permutation(n)
    moved = group_counts(correct[:, order], groups=groups[order], classes=labels[order])
    assert hierarchical_bootstrap(moved, draws=50) == interval


def test_bad_input_is_refused():
    for values, kw in (
        (np.zeros(3), {}),
        (np.zeros((0, 3)), {}),
        (np.zeros((2, 3)), {"groups": [0, 1]}),
        ([[np.nan, 1.0]], {}),
    ):
        with pytest.raises(UndefinedMetricError):
            group_counts(values, **kw)
    with pytest.raises(UndefinedMetricError):
        seed_scores([0.5, np.nan])
    with pytest.raises(UndefinedMetricError):
        GroupCounts(np.zeros((1, 2, 1)), np.array([[1.0], [0.0]]))
    two, three = seed_scores([1, 2]), seed_scores([1, 2, 3])
    for arms in ({}, {"a": two, "b": three}):
        with pytest.raises(UndefinedMetricError):
            bootstrap_draws(arms)
    with pytest.raises(UndefinedMetricError):
        paired_bootstrap(two, group_counts(np.ones((2, 4))), direction="higher")
