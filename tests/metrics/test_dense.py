"""Scores of masks, depth and keypoints against scikit-learn and loops; intervals where totals depend on the model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score, mean_absolute_percentage_error, mean_squared_error

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    GroupCounts,
    Tally,
    bootstrap_draws,
    correct_keypoints,
    depth_errors,
    hierarchical_bootstrap,
    intersection_over_union,
    keypoint_distances,
    paired_bootstrap,
    resampled_scores,
)


def maps(seed: int, n: int = 5, classes: int = 4, ignored: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (n, 6, 7)).astype(np.uint8)
    said = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, classes, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < ignored] = 255
    return said, truth


@given(st.integers(0, 1000), st.integers(2, 6))
def test_iou_equals_scikit_learns(seed: int, classes: int) -> None:
    said, truth = maps(seed, classes=classes)
    kept = truth != 255
    expected = jaccard_score(truth[kept], said[kept], average=None, labels=range(classes), zero_division=0)
    tally = intersection_over_union(said, truth, classes)
    found = [0.0 if value is None else value for value in tally.per_class()]
    np.testing.assert_allclose(found, expected)
    for i in range(len(truth)):
        table = confusion_matrix(truth[i][kept[i]], said[i][kept[i]], labels=range(classes))
        np.testing.assert_array_equal(tally.hits[i], np.diag(table))
        np.testing.assert_array_equal(tally.totals[i], table.sum(0) + table.sum(1) - np.diag(table))


def test_a_class_that_is_nowhere_is_left_out_and_one_only_predicted_counts() -> None:
    truth, said = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)
    assert intersection_over_union(said, truth, 3).per_class() == (1.0, None, None)
    said[0, 0, 0] = 1
    tally = intersection_over_union(said, truth, 3)
    assert tally.per_class() == (0.75, 0.0, None) and tally.score() == pytest.approx(0.375)


@given(st.integers(0, 1000))
def test_depth_errors_equal_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 3, (4, 5, 6)) * (rng.random((4, 5, 6)) < 0.8)
    said = np.where(truth > 0, truth, 1) * rng.uniform(0.6, 1.6, truth.shape)
    known = truth > 0
    details = depth_errors(said, truth).details()
    assert details["abs_rel"] == pytest.approx(mean_absolute_percentage_error(truth[known], said[known]))
    assert details["rmse"] ** 2 == pytest.approx(mean_squared_error(truth[known], said[known]))
    assert details["rmse_log"] ** 2 == pytest.approx(mean_squared_error(np.log(truth[known]), np.log(said[known])))
    ratio = np.maximum(said[known] / truth[known], truth[known] / said[known])
    assert details["delta1"] == pytest.approx((ratio < 1.25).mean())


def test_predictions_at_or_below_zero_are_the_floor() -> None:
    errors = depth_errors(np.array([[[0.0, -3.0]]]), np.array([[[0.1, 0.1]]]), floor=0.01)
    assert errors.relative[0] == pytest.approx(1.8) and errors.squared_log[0] == pytest.approx(2 * math.log(10) ** 2)


@given(st.integers(0, 1000))
def test_keypoint_distances_equal_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.uniform(-5, 40, (6, 3, 5, 2)), rng.integers(0, 3, (6, 3, 5, 1))], -1)
    truth[0, :, :, 2], truth[1, 2, :, 2] = 0, 0
    said = rng.uniform(0, 40, (6, 5, 3))
    found = keypoint_distances(said, truth)
    for i in range(6):
        options = []
        for labelling in truth[i]:
            far = [math.dist(a[:2], b[:2]) if b[2] > 0 else math.nan for a, b in zip(said[i], labelling, strict=True)]
            if not all(map(math.isnan, far)):
                options.append((np.nanmean(far), far))
        expected = min(options)[1] if options else [math.nan] * 5
        np.testing.assert_allclose(found[i], expected)


def test_correct_keypoints_by_hand() -> None:
    distances = np.array([[1.0, 4.0, math.nan], [2.0, 2.1, 0.0]])
    tally = correct_keypoints(distances, np.array([10.0, 20.0]), 0.1)
    assert tally.hits.tolist() == [[1], [2]] and tally.totals.tolist() == [[2], [3]]
    assert tally.score() == pytest.approx(3 / 5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: intersection_over_union(np.zeros((2, 3, 3), int), np.zeros((2, 3, 4), int), 2),
        lambda: depth_errors(np.zeros((2, 3, 3)), np.zeros((1, 3, 3))),
        lambda: depth_errors(np.full((1, 2, 2), math.nan), np.ones((1, 2, 2))),
        lambda: keypoint_distances(np.zeros((2, 5, 3)), np.zeros((2, 1, 4, 3))),
        lambda: keypoint_distances(np.zeros((2, 5, 3)), np.zeros((2, 5, 3))),
        lambda: depth_errors(np.ones((1, 2, 2)), np.zeros((1, 2, 2))).details(),
        lambda: Tally(np.zeros((3, 2)), np.zeros((3, 2))).score(),
    ],
)
def test_what_cannot_be_scored_is_refused(call) -> None:
    with pytest.raises(UndefinedMetricError):
        call()


def test_images_of_a_group_are_summed_whatever_the_order_and_names() -> None:
    said, truth = maps(1, n=6)
    tally = intersection_over_union(said, truth, 4)
    counts = tally.counts(["b", "a", "b", "c", "a", "b"])
    for place, members in enumerate(([1, 4], [0, 2, 5], [3])):
        np.testing.assert_array_equal(counts.hits[0, place], tally.hits[members].sum(0))
        np.testing.assert_array_equal(counts.totals[0, place], tally.totals[members].sum(0))
    assert counts.score() == pytest.approx(tally.score()) and counts.n_items == 6
    alone = tally.counts()
    np.testing.assert_array_equal(alone.hits[0], tally.hits)
    assert alone.score() == pytest.approx(tally.score())


def stacked(
    seeds: int = 3, groups: int = 5, n: int = 12
) -> tuple[list[np.ndarray], np.ndarray, list[str], GroupCounts]:
    truth = maps(0, n)[1]
    said = [np.where(truth == 255, 0, maps(seed + 1, n)[0]) for seed in range(seeds)]
    names = [f"g{i % groups}" for i in range(n)]
    parts = [intersection_over_union(predicted, truth, 4).counts(names) for predicted in said]
    hits, totals = (np.concatenate([getattr(part, name) for part in parts]) for name in ("hits", "totals"))
    return said, truth, names, GroupCounts(hits, totals, n)


def test_resampled_iou_equals_the_iou_of_repeated_images() -> None:
    said, truth, names, counts = stacked()
    groups = np.array([int(name[1:]) for name in names])
    rng = np.random.default_rng(5)
    by_seed, by_group = rng.multinomial(3, np.full(3, 1 / 3), 20), rng.multinomial(5, np.full(5, 1 / 5), 20)
    expected = []
    for seeds, weights in zip(by_seed, by_group, strict=True):
        items = np.repeat(np.arange(len(truth)), weights[groups])
        kept = truth[items] != 255
        scores = [
            jaccard_score(truth[items][kept], said[s][items][kept], average="macro", labels=range(4)) for s in range(3)
        ]
        expected.append(np.average(scores, weights=seeds))
    np.testing.assert_allclose(resampled_scores(counts, by_seed, by_group), expected)
    np.testing.assert_allclose(counts.scores(), [intersection_over_union(s, truth, 4).score() for s in said])


def test_the_whole_bootstrap_equals_its_loop() -> None:
    _, _, _, counts = stacked()
    drawn = bootstrap_draws({"a": counts}, draws=50, seed=3)["a"]
    by_seed = np.random.default_rng([3, 0]).integers(0, 3, (50, 3))
    by_group = np.random.default_rng([3, 5]).integers(0, 5, (50, 5))
    for value, seeds, groups in zip(drawn, by_seed, by_group, strict=True):
        ious = [counts.hits[s, groups].sum(0) / counts.totals[s, groups].sum(0) for s in seeds]
        assert value == pytest.approx(np.mean(ious))


def test_equal_arms_differ_by_nothing_and_a_better_one_by_more() -> None:
    _, _, _, counts = stacked()
    same = paired_bootstrap(counts, counts, direction="higher", draws=200)
    assert (same.low, same.high) == (0.0, 0.0)
    better = GroupCounts(np.minimum(counts.hits * 1.2, counts.totals), counts.totals, counts.items)
    assert paired_bootstrap(better, counts, direction="higher", draws=200).low > 0
    assert paired_bootstrap(better, counts, direction="lower", draws=200).high < 0


def test_groups_without_a_label_leave_draws_without_a_score() -> None:
    hits, totals = np.zeros((1, 3, 1)), np.zeros((1, 3, 1))
    hits[0, 0], totals[0, 0] = 2, 4
    counts = GroupCounts(hits, totals, 3)
    drawn = bootstrap_draws({"a": counts}, draws=2000)["a"]
    # A draw of three groups that misses the only labelled one, (2/3)³, has no score: it is not zero.
    assert np.isnan(drawn).mean() == pytest.approx(8 / 27, abs=0.04)
    assert set(drawn[np.isfinite(drawn)]) == {0.5}
    interval = hierarchical_bootstrap(counts, draws=2000)
    assert (interval.low, interval.high) == (0.5, 0.5) and interval.defined == pytest.approx(19 / 27, abs=0.04)


def test_counts_that_do_not_fit_are_refused() -> None:
    for hits, totals in (((1, 3, 2), (1, 3, 1)), ((1, 3, 2), (2, 3, 2)), ((1, 0, 2), (1, 0, 2)), ((3, 2), (3, 2))):
        with pytest.raises(UndefinedMetricError):
            GroupCounts(np.ones(hits), np.ones(totals))
