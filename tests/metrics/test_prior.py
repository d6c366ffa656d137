"""Target class shares without labels, on data whose shares are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import bbse, class_shares, em_prior, prior_shift

CONFUSION = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])  # rows: true class
SHIFTED = np.array([0.1, 0.2, 0.7])


def exact_counts(prior, n=1000):
    """Predictions whose shares are exactly those of the confusion matrix."""
    rows, labels = [], []
    for k, share in enumerate(prior):
        for j, rate in enumerate(CONFUSION[k]):
            count = round(n * share * rate)
            rows += [np.eye(3)[j]] * count
            labels += [k] * count
    return np.array(rows), np.array(labels)


def gaussian(prior, n, seed):
    """Two classes at ±1 in one dimension; the posterior under equal priors is a logistic function of 2x."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < prior[1]).astype(int)
    right = 1 / (1 + np.exp(-2 * (rng.normal(size=n) + 2 * labels - 1)))
    return np.stack([1 - right, right], axis=1), labels


def test_bbse_inverts_the_confusion_exactly():
    source, labels = exact_counts([0.5, 0.3, 0.2])
    target, _ = exact_counts(SHIFTED)
    np.testing.assert_allclose(bbse(source, labels, target), SHIFTED, atol=1e-9)
    np.testing.assert_allclose(bbse(source, labels, source), class_shares(labels, 3), atol=1e-9)
    biased = target.mean(axis=0)
    assert np.abs(biased - SHIFTED).max() > 0.1  # counting predictions would not do


def test_both_estimators_recover_a_shift():
    source, labels = gaussian([0.5, 0.5], 20_000, 0)
    target, _ = gaussian([0.85, 0.15], 20_000, 1)
    for estimate in (
        bbse(source, labels, target),
        bbse(source, labels, target, soft=True),
        em_prior(target, [0.5, 0.5]),
    ):
        np.testing.assert_allclose(estimate, [0.85, 0.15], atol=0.02)


def test_em_is_at_a_maximum_of_the_likelihood():
    target, _ = gaussian([0.7, 0.3], 400, 2)
    grid = np.linspace(0.001, 0.999, 999)
    likelihood = [np.log(target @ np.array([1 - share, share])).sum() for share in grid]
    assert em_prior(target, [0.5, 0.5])[1] == pytest.approx(grid[np.argmax(likelihood)], abs=0.002)


def test_em_divides_by_the_source_prior():
    # Posteriors of a model trained at 4:1 on a target at 1:1; the odds carry the factor 4.
    even, _ = gaussian([0.5, 0.5], 20_000, 3)
    joint = even * [0.8, 0.2]
    np.testing.assert_allclose(em_prior(joint / joint.sum(axis=1, keepdims=True), [0.8, 0.2]), 0.5, atol=0.02)


def test_alarm_by_hand():
    # 40/120/486 images under a uniform source, the case of the protocol: distance 486/646 - 1/3.
    shift = prior_shift(np.array([40, 120, 486]) / 646, [1 / 3] * 3)
    assert shift.total_variation == pytest.approx(486 / 646 - 1 / 3)
    assert shift.alarm
    assert "ALARM" in str(shift)
    calm = prior_shift([0.3, 0.7], [0.4, 0.6], threshold=0.11)
    assert calm.total_variation == pytest.approx(0.1)
    assert not calm.alarm
    assert prior_shift([0.3, 0.7], [0.4, 0.6], threshold=0.09).alarm


@given(st.lists(st.integers(1, 20), min_size=3, max_size=3), st.integers(0, 100))
def test_estimates_are_priors_and_the_distance_is_one(weights, seed):
    rng = np.random.default_rng(seed)
    target = rng.dirichlet(np.ones(3), 50)
    source_prior = np.array(weights) / sum(weights)
    source, labels = exact_counts(source_prior, 3000)
    for estimate in (bbse(source, labels, target), em_prior(target, source_prior, tolerance=1e-4)):
        assert estimate.min() >= 0
        assert estimate.sum() == pytest.approx(1)
        forth, back = prior_shift(estimate, source_prior), prior_shift(source_prior, estimate)
        assert 0 <= forth.total_variation <= 1
        assert forth.total_variation == pytest.approx(back.total_variation)
    order = rng.permutation(50)
    np.testing.assert_allclose(bbse(source, labels, target[order]), bbse(source, labels, target))


def test_bad_input_is_refused():
    perfect = np.eye(2)[[0, 1, 0, 1]]
    with pytest.raises(UndefinedMetricError, match="no held-out source items"):
        bbse(perfect, [0, 0, 0, 0], perfect)
    with pytest.raises(UndefinedMetricError, match="singular"):
        bbse(np.eye(2)[[0, 0, 0, 0]], [0, 1, 0, 1], perfect)
    with pytest.raises(UndefinedMetricError):
        bbse(perfect, [0, 1], perfect)
    with pytest.raises(UndefinedMetricError):
        em_prior(perfect, [1.0, 0.0])
    with pytest.raises(UndefinedMetricError, match="convergence"):
        em_prior(gaussian([0.9, 0.1], 50, 0)[0], [0.5, 0.5], max_iterations=1)
    with pytest.raises(UndefinedMetricError):
        prior_shift([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(UndefinedMetricError):
        prior_shift([0.5, 0.6], [0.5, 0.5])
