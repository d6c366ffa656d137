"""Scores against scikit-learn, a bin-by-bin loop, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    accuracy,
    balanced_accuracy,
    classification_scores,
    confusion_matrix,
    expected_calibration_error,
    per_class,
    softmax,
    worst_class,
)


def sample(seed, n=200, classes=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels], labels


def slow_ece(probabilities, labels, bins):
    total = 0.0
    for m in range(bins):
        inside = [i for i in range(len(labels)) if m / bins < probabilities[i].max() <= (m + 1) / bins]
        if inside:
            right = np.mean([probabilities[i].argmax() == labels[i] for i in inside])
            total += len(inside) / len(labels) * abs(right - np.mean([probabilities[i].max() for i in inside]))
    return total


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learn(seed):
    logits, labels = sample(seed)
    predicted = logits.argmax(axis=1)
    scores = classification_scores(logits, labels)
    assert scores.accuracy == accuracy(logits, labels) == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores.balanced_accuracy == balanced_accuracy(logits, labels)
    assert scores.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    np.testing.assert_array_equal(scores.confusion, reference.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(scores.per_class, reference.recall_score(labels, predicted, average=None))
    assert scores.worst == worst_class(logits, labels)
    assert scores.worst.score == min(scores.per_class) == scores.per_class[scores.worst.label]
    assert scores.n == len(labels)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_equals_the_loop_over_bins(bins):
    logits, labels = sample(7)
    probabilities = softmax(logits)
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(
        slow_ece(probabilities, labels, bins)
    )


def test_calibration_error_by_hand():
    # Confidences .9 (right, wrong) share a bin: |.5 - .9|; .6 (right) has its own: |1 - .6|. Weights 2/3 and 1/3.
    probabilities = [[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]
    assert expected_calibration_error(probabilities, [0, 1, 1]) == pytest.approx(0.4)
    # A confidence on an edge belongs to the bin below: .75 (right) and .8 (wrong) do not cancel in quarters.
    assert expected_calibration_error([[0.75, 0.25], [0.8, 0.2]], [0, 1], bins=4) == pytest.approx((0.25 + 0.8) / 2)
    assert expected_calibration_error(np.eye(3), [0, 1, 2]) == 0
    assert expected_calibration_error(np.eye(3), [1, 2, 0]) == 1


def test_a_class_without_items_has_no_recall_and_does_not_count():
    scores = [[2, 0, 0], [2, 0, 0], [0, 0, 2]]
    assert per_class(scores, [0, 2, 2]) == (1.0, None, 0.5)
    assert balanced_accuracy(scores, [0, 2, 2]) == 0.75
    assert worst_class(scores, [0, 2, 2]) == (2, 0.5)
    assert confusion_matrix(scores, [0, 2, 2]).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_order_of_items_does_not_matter_and_temperature_not_to_accuracy(seed, temperature):
    logits, labels = sample(seed, n=40, classes=3)
    order = np.random.default_rng(seed).permutation(len(labels))
    first, second = classification_scores(logits, labels), classification_scores(logits[order], labels[order])
    assert first.per_class == second.per_class
    assert first.ece == pytest.approx(second.ece)
    assert 0 <= first.ece <= 1
    assert accuracy(logits / temperature, labels) == first.accuracy


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([[np.nan, 1.0]], [0]),
        ([[np.inf, 1.0]], [0]),
        (np.zeros((0, 2)), []),
        ([[1.0, 0.0]], [2]),
        ([[1.0, 0.0]], [-1]),
        ([[1.0, 0.0]], [0, 1]),
        ([1.0, 0.0], [0, 1]),
        ([[1.0, 0.0]], [0.0]),
    ],
)
def test_bad_input_is_refused(scores, labels):
    with pytest.raises(UndefinedMetricError):
        accuracy(scores, labels)
    with pytest.raises(UndefinedMetricError):
        expected_calibration_error(scores, labels)


def test_logits_are_no_probabilities():
    with pytest.raises(UndefinedMetricError, match="softmax"):
        expected_calibration_error([[3.0, -1.0]], [0])


def test_softmax_of_large_logits_is_finite():
    np.testing.assert_allclose(softmax([[1000.0, 0.0], [0.0, 0.0]]), [[1, 0], [0.5, 0.5]])
