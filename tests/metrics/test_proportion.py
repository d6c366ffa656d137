"""Wilson's interval against hand computation, its own definition and SciPy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import wilson


def test_by_hand() -> None:
    # 8 of 10, z = 1.96: middle (0.8 + 1.9208/10)/(1 + 3.8416/10) = 0.71673,
    # half width 1.96/1.38416·√(0.016 + 0.009604) = 0.22658.
    found = wilson(8, 10)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.4902, abs=5e-5) and found.high == pytest.approx(0.9433, abs=5e-5)
    assert str(found) == "8/10 (49–94 %)"


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_as_scipy_computes_it(counts: tuple[int, int], level: float) -> None:
    successes, trials = counts
    found, other = wilson(successes, trials, level), binomtest(successes, trials).proportion_ci(level, "wilson")
    assert found.low == pytest.approx(other.low, abs=1e-9) and found.high == pytest.approx(other.high, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n))))
def test_bounds_solve_the_equation_that_defines_them(counts: tuple[int, int]) -> None:
    successes, trials = counts
    found = wilson(successes, trials)
    for bound in (found.low, found.high):
        z = abs(found.value - bound) / math.sqrt(bound * (1 - bound) / trials)
        assert z == pytest.approx(1.959964, abs=1e-5)


def test_the_ends_are_exact() -> None:
    assert wilson(0, 7).low == 0.0 and wilson(7, 7).high == 1.0
    assert wilson(0, 7).high == pytest.approx(1 - wilson(7, 7).low)


@pytest.mark.parametrize(("successes", "trials", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_what_has_no_interval_says_so(successes: int, trials: int, level: float) -> None:
    with pytest.raises(UndefinedMetricError):
        wilson(successes, trials, level)
