"""Bounds of rates against hand-computed cases and the binomial tail they are defined by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import rate_interval, rule_of_three


def test_by_hand() -> None:
    # Nothing in one trial: the upper bound solves (1 − p)^1 = 0.025; everything: p^1 = 0.025.
    assert rate_interval(0, 1) == pytest.approx((0.0, 0.0, 0.975))
    assert rate_interval(1, 1) == pytest.approx((1.0, 0.025, 1.0))
    # One of two: 1 − (1 − p)² = 0.025 and p² = 0.975 ... mirrored about one half.
    assert rate_interval(1, 2) == pytest.approx((0.5, 1 - math.sqrt(0.975), math.sqrt(0.975)))
    assert rule_of_three(1) == pytest.approx(0.95) and rule_of_three(2) == pytest.approx(1 - math.sqrt(0.05))


@settings(max_examples=20)
@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_scipys(trials: int, data: st.DataObject, level: float) -> None:
    events = data.draw(st.integers(0, trials))
    expected = binomtest(events, trials).proportion_ci(level, method="exact")
    found = rate_interval(events, trials, level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(1, 10**7))
def test_the_rule_of_three_is_the_rate_at_which_nothing_has_one_chance_in_twenty(trials: int) -> None:
    bound = rule_of_three(trials)
    assert binom.pmf(0, trials, bound) == pytest.approx(0.05, rel=1e-6)
    if trials >= 100:
        assert bound == pytest.approx(3 / trials, rel=0.02)


@pytest.mark.parametrize(
    ("events", "trials", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0)]
)
def test_what_has_no_interval(events: int, trials: int, level: float) -> None:
    with pytest.raises(UndefinedMetricError):
        rate_interval(events, trials, level)


@pytest.mark.parametrize(("trials", "level"), [(0, 0.95), (5, 0.0), (5, 1.0)])
def test_what_has_no_bound(trials: int, level: float) -> None:
    with pytest.raises(UndefinedMetricError):
        rule_of_three(trials, level)
