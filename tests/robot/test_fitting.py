"""Least squares in the unit box, and intervals from blocks."""

from __future__ import annotations

import numpy as np
import pytest

from perceptransfer.robot.fitting import Fit, fit

RNG = np.random.default_rng(0)
DESIGN = RNG.normal(size=(240, 3))
TRUTH = np.array([0.3, 0.8, 0.5])


def noisy(scale: float) -> np.ndarray:
    """Residuals at the truth that agree within blocks of ten."""
    rng = np.random.default_rng(1)
    return scale * (np.repeat(rng.normal(size=24), 10) + 0.3 * rng.normal(size=240))


def test_a_linear_problem_has_numpys_solution() -> None:
    wanted = DESIGN @ TRUTH + noisy(0.02)
    found = fit(lambda at: DESIGN @ at - wanted, np.full(3, 0.5))
    np.testing.assert_allclose(found.values, np.linalg.lstsq(DESIGN, wanted, rcond=None)[0], atol=1e-6)
    np.testing.assert_allclose(found.slopes, DESIGN, atol=1e-9)
    assert found.cost == pytest.approx(0.5 * (found.residuals**2).sum())


def test_values_stay_in_the_box_and_curved_residuals_converge() -> None:
    found = fit(lambda at: np.array([np.exp(at[0]) - np.exp(0.7), at[1] - 2.0]), np.array([0.0, 0.0]), evaluations=50)
    assert found.values[0] == pytest.approx(0.7, abs=1e-3) and found.values[1] == pytest.approx(1.0)


def test_spread_is_that_of_a_bootstrap_over_blocks() -> None:
    wanted = DESIGN @ TRUTH + noisy(0.02)
    found = fit(lambda at: DESIGN @ at - wanted, np.full(3, 0.5))
    rng, drawn = np.random.default_rng(2), []
    blocks = np.arange(240).reshape(24, 10)
    for _ in range(2000):
        rows = blocks[rng.integers(0, 24, 24)].ravel()
        drawn.append(np.linalg.lstsq(DESIGN[rows], wanted[rows], rcond=None)[0])
    # 2.07 is Student's t for 23 degrees of freedom
    np.testing.assert_allclose(found.spread(24), 2.07 * np.std(drawn, axis=0), rtol=0.2)


def test_a_parameter_without_effect_is_unknown_and_a_perfect_fit_is_not_exact() -> None:
    found = fit(lambda at: 50 * (DESIGN[:, :2] @ (at[:2] - TRUTH[:2])), np.full(3, 0.5))
    half = found.spread(24)
    assert np.isinf(half[2]) and (half[:2] < 1e-6).all()
    variance = np.diag(np.linalg.inv(50**2 * DESIGN[:, :2].T @ DESIGN[:, :2]))
    np.testing.assert_allclose(found.spread(24, floor=1.0)[:2], 2.0687 * np.sqrt(variance), rtol=1e-3)


def test_outliers_pull_less_when_robust() -> None:
    wanted = DESIGN @ TRUTH
    wanted[::12] += 30.0

    def off(robust: bool) -> float:
        return float(np.abs(fit(lambda at: DESIGN @ at - wanted, np.full(3, 0.5), robust=robust).values - TRUTH).max())

    assert off(robust=True) < 0.1 < off(robust=False)


def test_a_prior_decides_where_the_data_say_nothing() -> None:
    prior = np.array([0.2, 0.9]), np.array([0.1, 0.1])
    found: Fit = fit(lambda at: np.array([20 * (at[0] - 0.6)]), np.array([0.5, 0.5]), prior=prior)
    assert found.values[0] == pytest.approx((0.6 * 400 + 0.2 * 100) / 500, abs=1e-4)  # weighted by precision
    assert found.values[1] == pytest.approx(0.9, abs=1e-4) and len(found.residuals) == 1
