"""Distances of sets of rows: 0 for equal sets, symmetric, growing; and against formulas written differently."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perceptransfer.render.calibration.distances import frechet, sliced_wasserstein

ALL = [sliced_wasserstein, frechet]
ROWS = arrays(np.float64, st.tuples(st.integers(12, 30), st.just(3)), elements=st.floats(-5, 5, width=32))
CLOUD = np.random.default_rng(0).standard_normal((200, 3)) * [1, 2, 0.5]


@pytest.mark.parametrize("distance", ALL)
@given(a=ROWS, b=ROWS)
def test_symmetric_zero_for_equal_sets_in_any_order(distance, a, b) -> None:  # type: ignore[no-untyped-def]
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-5)
    assert distance(a, b) >= 0
    assert distance(a, a[::-1]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("distance", ALL)
@given(shift=arrays(np.float64, 3, elements=st.floats(0.1, 3)), factor=st.floats(1.2, 4))
def test_grows_with_shift(distance, shift, factor) -> None:  # type: ignore[no-untyped-def]
    near, far = distance(CLOUD, CLOUD + shift), distance(CLOUD, CLOUD + factor * shift)
    assert far == pytest.approx(factor * near, rel=1e-3)


@pytest.mark.parametrize("distance", ALL)
def test_grows_with_spread(distance) -> None:  # type: ignore[no-untyped-def]
    found = [distance(CLOUD, CLOUD * k) for k in (1, 1.2, 1.5, 2)]
    assert found == sorted(found) and found[0] < 1e-6 < found[1]


def test_one_column_is_the_wasserstein_distance_between_quantiles() -> None:
    a, b = CLOUD[:, :1], CLOUD[:100, 1:2] + 1
    levels = (np.arange(100_000) + 0.5) / 100_000
    gap = scipy.stats.mstats.mquantiles(a[:, 0], levels, 1, 1) - scipy.stats.mstats.mquantiles(b[:, 0], levels, 1, 1)
    assert sliced_wasserstein(a, b) == pytest.approx(np.sqrt(np.mean(gap**2)), rel=0.02)


def test_frechet_by_the_matrix_root_of_the_product() -> None:
    a = np.random.default_rng(1).standard_normal((20_000, 3)) @ np.diag([1, 2, 3.0])
    b = np.random.default_rng(2).standard_normal((20_000, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 1.0]]) + 1
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    square = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second - 2 * root)
    assert frechet(a, b) == pytest.approx(np.sqrt(square / 3), rel=0.01)
