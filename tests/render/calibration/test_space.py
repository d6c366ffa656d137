"""Points of the unit box are ranges within the limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perceptransfer.render.calibration.space import LIMITS, point_of, ranges_at, value_at
from perceptransfer.render.distributions import Constant, LogUniform, Normal, Uniform
from perceptransfer.render.optics import SensorRanges

POINTS = arrays(np.float64, 2 * len(LIMITS), elements=st.floats(-1, 2))


@given(POINTS)
def test_every_point_stays_within_the_limits_and_has_width(point: np.ndarray) -> None:
    ranges = ranges_at(point)
    for name, limit in LIMITS.items():
        low, high = ranges[name].low, ranges[name].high
        assert limit.low <= low < high <= limit.high
        width = high / low if limit.log else high - low
        assert limit.least * (1 - 1e-3) <= width <= limit.widest * (1 + 1e-3)
    SensorRanges(**ranges)  # a scene accepts them


@given(arrays(np.float64, 2 * len(LIMITS), elements=st.floats(0.01, 0.99)))
def test_points_and_ranges_are_inverse(point: np.ndarray) -> None:
    again = ranges_at(point_of(ranges_at(point)))
    for name, given_ in ranges_at(point).items():
        assert (again[name].low, again[name].high) == pytest.approx((given_.low, given_.high), abs=2e-5)


def test_a_constant_gets_the_least_width_and_absurd_ranges_are_cut() -> None:
    given = SensorRanges(exposure_stops=Normal(0, 0.5), read_noise_std=(0.0, 0.9), red_gain=LogUniform(0.1, 9.0))
    ranges = ranges_at(point_of(given.ranges))
    assert ranges["saturation"].high - ranges["saturation"].low == pytest.approx(0.1)
    assert (ranges["exposure_stops"].low, ranges["exposure_stops"].high) == pytest.approx((-0.8225, 0.8225))
    assert ranges["read_noise_std"].high <= 0.05 and ranges["red_gain"].high <= 1.7


def test_quantiles_of_even_and_logarithmic_ranges() -> None:
    half = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(value_at(Uniform(1, 3), half), [1, 2, 3])
    np.testing.assert_allclose(value_at(LogUniform(1, 4), half), [1, 2, 4])


def test_limits_are_sane() -> None:
    neutral = SensorRanges().ranges
    for name, limit in LIMITS.items():
        assert isinstance(neutral[name], Constant) and limit.low <= neutral[name].low <= limit.high
        width = math.log(limit.high / limit.low) if limit.log else limit.high - limit.low
        assert 0 < (math.log(limit.least) if limit.log else limit.least) < width
