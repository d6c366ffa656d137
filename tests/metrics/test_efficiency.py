"""Labels needed, labels saved, area: the protocol's fixture, by hand, and properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    Estimate,
    area_under_fraction_curve,
    attempt,
    common_range,
    label_savings,
    label_savings_at,
    n_to_target,
)

UP = {"direction": "higher"}
# PeopleSansPeople README, COCO person keypoint AP.
N = [641, 6411, 32057, 64115]
IMAGENET = [23.51, 45.99, 60.28, 65.10]
SYNTHETIC = [46.40, 55.21, 63.38, 66.83]


@pytest.mark.parametrize(("place", "savings"), [(0, 10.5), (1, 2.8), (2, 1.6)])
def test_savings_of_people_sans_people(place, savings):
    result = label_savings_at(N, IMAGENET, spent=N[place], reached=SYNTHETIC[place], **UP)
    assert result.value == pytest.approx(savings, abs=0.05)
    assert result.reason is None


def test_the_last_saving_is_censored():
    result = label_savings_at(N, IMAGENET, spent=N[3], reached=SYNTHETIC[3], **UP)
    assert result.value is None
    assert "not reached" in result.reason
    assert result.above == 1.0


def test_log_interpolation_by_hand():
    assert n_to_target([10, 1000], [0.0, 1.0], 0.5, **UP).value == pytest.approx(100)
    assert n_to_target([10, 1000], [0.0, 1.0], 1.0, **UP).value == 1000
    assert n_to_target([1000, 10], [0.1, 0.9], 0.5, direction="lower").value == pytest.approx(100)


def test_zero_labels_is_a_point_of_its_own():
    n, scores = [0, 10, 100], [0.5, 0.8, 0.9]
    assert n_to_target(n, scores, 0.4, **UP) == Estimate(0.0)
    between = n_to_target(n, scores, 0.7, **UP)
    assert (between.value, between.above, between.at_most) == (None, 0.0, 10.0)
    assert n_to_target(n, scores, 0.8, **UP).value == 10
    assert n_to_target(n, scores, 0.85, **UP).value == pytest.approx(math.sqrt(1000))
    left = n_to_target(n[1:], scores[1:], 0.7, **UP)
    assert (left.value, left.above, left.at_most) == (None, None, 10.0)
    right = n_to_target(n, scores, 0.95, **UP)
    assert (right.value, right.above, right.at_most) == (None, 100.0, None)


def test_the_first_crossing_counts_and_a_dip_is_told():
    result = n_to_target([1, 10, 100, 1000], [0.0, 1.0, 0.2, 1.0], 0.5, **UP)
    assert result.value == pytest.approx(math.sqrt(10))
    assert "100" in result.reason
    assert "1000" not in result.reason


def test_savings_of_censored_and_empty_budgets():
    assert label_savings(Estimate(100.0), 10).value == 10
    assert label_savings(Estimate(100.0), Estimate(50.0)).value == 2
    assert label_savings(Estimate(100.0), 0).value is None
    assert label_savings(Estimate(100.0), Estimate(None, "censored")).value is None
    bounded = label_savings(Estimate(None, "r", above=5.0, at_most=20.0), 10)
    assert (bounded.value, bounded.above, bounded.at_most) == (None, 0.5, 2.0)


def test_area_by_hand_and_by_quadrature():
    assert area_under_fraction_curve([1, 10, 100], [0.0, 1.0, 1.0]) == pytest.approx(0.75)
    assert area_under_fraction_curve([0, 1, 10, 100], [-9.0, 0.0, 1.0, 1.0]) == pytest.approx(0.75)
    n, scores, low, high = [2, 7, 50, 800], [0.1, 0.6, 0.5, 0.9], 3.0, 600.0
    integral, _ = quad(lambda x: np.interp(x, np.log(n), scores), math.log(low), math.log(high), limit=200)
    result = area_under_fraction_curve(n, scores, between=(low, high))
    assert result == pytest.approx(integral / math.log(high / low), rel=1e-6)


def test_common_range_leaves_zero_out():
    assert common_range([0, 1, 10, 100], [0, 5, 50, 500]) == (5, 100)
    for curves in ([[0]], [[1, 2], [3, 4]], [[5]], []):
        with pytest.raises(UndefinedMetricError):
            common_range(*curves)


@pytest.mark.parametrize(
    ("n", "scores"),
    [([], []), ([1, 1], [0, 1]), ([-1, 1], [0, 1]), ([1, 2], [0]), ([1, 2], [0, math.nan]), ([1, math.inf], [0, 1])],
)
def test_what_is_no_curve(n, scores):
    with pytest.raises(UndefinedMetricError):
        n_to_target(n, scores, 0.5, **UP)
    with pytest.raises(UndefinedMetricError):
        area_under_fraction_curve(n, scores)


def test_area_outside_the_curve_and_missing_direction():
    with pytest.raises(UndefinedMetricError):
        area_under_fraction_curve([1, 10], [0, 1], between=(1, 100))
    with pytest.raises(UndefinedMetricError):
        n_to_target([1, 10], [0, 1], 0.5, direction=None)


curves = st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 1)), min_size=2, max_size=8, unique_by=lambda p: p[0])


@given(curves, st.floats(0, 1), st.randoms())
def test_order_of_points_does_not_matter_and_direction_is_symmetric(points, target, random):
    shuffled = random.sample(points, len(points))
    n, scores = zip(*points, strict=True)
    result = n_to_target(n, scores, target, **UP)
    assert result == n_to_target(*zip(*shuffled, strict=True), target, **UP)
    turned = n_to_target(n, [-score for score in scores], -target, direction="lower")
    assert (turned.value, turned.above, turned.at_most) == (result.value, result.above, result.at_most)
    if result.value is not None:
        assert min(n) <= result.value <= max(n) * (1 + 1e-9)


@given(curves, st.floats(0, 1), st.floats(0, 1))
def test_a_harder_target_never_needs_fewer_labels(points, first, second):
    easy, hard = sorted((first, second))
    n, scores = zip(*points, strict=True)
    low, high = (n_to_target(n, scores, target, **UP) for target in (easy, hard))
    if low.value is not None and high.value is not None:
        assert low.value <= high.value * (1 + 1e-9)
    if low.value is None and low.above == max(n):
        assert high.value is None


@given(curves)
def test_area_is_a_mean(points):
    n, scores = zip(*points, strict=True)
    positive = [score for label, score in points if label > 0]
    area = attempt(area_under_fraction_curve, n, scores).value
    if len(positive) < 2:
        assert area is None
    else:
        assert min(positive) - 1e-9 <= area <= max(positive) + 1e-9


def test_a_missing_value_needs_a_reason():
    with pytest.raises(UndefinedMetricError):
        Estimate(None)
    with pytest.raises(UndefinedMetricError):
        Estimate(math.inf)
