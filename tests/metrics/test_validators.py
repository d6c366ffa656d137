"""Validators against loops and scikit-learn, by hand, and their properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import VALIDATORS, Evidence, softmax
from perceptransfer.metrics.validators import snd

UNIFORM = np.full((12, 3), 1 / 3)
PERFECT = np.tile(np.eye(3), (4, 1))
COLLAPSED = np.tile([[1.0, 0.0, 0.0]], (12, 1))


def evidence(seed=0, n=30, classes=3, scale=3.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(size=(n, classes)) + scale * np.eye(classes)[labels]
    return Evidence.from_logits(
        logits,
        features=rng.normal(size=(n, 8)) + 5 * np.eye(8)[labels],
        source=rng.normal(size=(n, classes)) + 4 * np.eye(classes)[labels],
        source_labels=labels,
        reference=logits + rng.normal(size=(n, classes)),
    )


def value(name, probabilities, **kw):
    return VALIDATORS[name](Evidence(np.asarray(probabilities, dtype=float), **kw))


def test_values_by_hand():
    assert value("entropy", UNIFORM) == pytest.approx(-math.log(3))
    assert value("entropy", PERFECT) == value("entropy", COLLAPSED) == 0
    assert value("im", PERFECT) == pytest.approx(math.log(3))
    assert value("im", UNIFORM) == pytest.approx(0, abs=1e-12)
    assert value("im", COLLAPSED) == 0
    assert value("bnm", PERFECT) == pytest.approx(1)
    assert value("bnm", COLLAPSED) == pytest.approx(1 / math.sqrt(3))
    assert value("bnm", UNIFORM) == pytest.approx(1 / 3)
    assert value("snd", COLLAPSED) == pytest.approx(math.log(11))


def test_entropy_and_im_equal_scipy():
    target = evidence().target
    assert value("entropy", target) == pytest.approx(-np.mean([stats.entropy(row) for row in target]))
    expected = stats.entropy(target.mean(axis=0)) - np.mean([stats.entropy(row) for row in target])
    assert value("im", target) == pytest.approx(expected)


def test_bnm_is_the_sum_of_singular_values():
    target = evidence().target
    eigenvalues = np.linalg.eigvalsh(target.T @ target)
    assert value("bnm", target) == pytest.approx(np.sqrt(eigenvalues).sum() / math.sqrt(30 * 3))


@pytest.mark.parametrize("n", [5, 1030])
def test_snd_equals_the_loop(n):
    target = evidence(n=n).target
    total = 0.0
    for i in range(n):
        norms = np.linalg.norm(target, axis=1) * np.linalg.norm(target[i])
        similarity = np.delete(target @ target[i] / norms, i)
        weights = np.exp(similarity / 0.05)
        total += stats.entropy(weights)
    assert snd(Evidence(target)) == pytest.approx(total / n)


def test_accuracy_on_source_and_agreement():
    known = Evidence(PERFECT[:4], source=PERFECT[:4], source_labels=np.array([0, 1, 2, 1]), reference=COLLAPSED[:4])
    assert VALIDATORS["source_accuracy"](known) == 0.75
    assert VALIDATORS["agreement"](known) == 0.5
    im = VALIDATORS["im"](known)
    assert VALIDATORS["im_source"](known) == pytest.approx(im / math.log(3) + 0.75)


def test_class_ami_follows_the_clusters():
    features = np.repeat(10.0 * np.eye(3), 4, axis=0) + np.random.default_rng(0).normal(0, 0.1, (12, 3))
    right, turned = np.repeat(np.eye(3), 4, axis=0), np.repeat(np.eye(3)[[2, 0, 1]], 4, axis=0)
    assert value("class_ami", right, target_features=features) == pytest.approx(1)
    # Blind to a permutation of the classes: a known weakness that the agreement validator does not have.
    assert value("class_ami", turned, target_features=features) == pytest.approx(1)
    assert value("class_ami", PERFECT, target_features=features) < 0.2


def test_a_collapsed_model_does_not_win():
    ones, spread = np.ones((12, 4)), np.random.default_rng(1).normal(size=(12, 4))
    assert value("class_ami", COLLAPSED, target_features=ones) == 0
    assert value("class_ami", COLLAPSED, target_features=spread) == 0
    assert value("class_ami", PERFECT, target_features=ones) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in VALIDATORS if name not in ("snd", "agreement")])
def test_a_good_model_scores_above_an_ignorant_one(name):
    good, bad = evidence(scale=6.0), evidence(scale=0.0)
    ignorant = Evidence(bad.target, np.random.default_rng(2).normal(size=(30, 8)), bad.target, bad.source_labels)
    assert VALIDATORS[name](good) > VALIDATORS[name](ignorant)


@pytest.mark.parametrize("name", VALIDATORS)
def test_the_same_evidence_gives_the_same_value(name):
    assert VALIDATORS[name](evidence(3)) == VALIDATORS[name](evidence(3))


RANGES = {
    "class_ami": (-1, 1), "im": (0, math.log(3)), "bnm": (0, 1), "entropy": (-math.log(3), 0),
    "snd": (0, math.log(29)), "source_accuracy": (0, 1), "agreement": (0, 1), "im_source": (0, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", VALIDATORS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_ranges_and_blindness_to_order(name, seed):
    known = evidence(seed, scale=seed % 5)
    low, high = RANGES[name]
    result = VALIDATORS[name](known)
    assert low - 1e-9 <= result <= high + 1e-9
    order = np.random.default_rng(seed).permutation(30)
    moved = Evidence(
        known.target[order], known.target_features[order], known.source, known.source_labels, known.reference[order]
    )
    if name != "class_ami":  # k-means may end in another optimum when its points come in another order
        assert VALIDATORS[name](moved) == pytest.approx(result)


@pytest.mark.parametrize("name", ["class_ami", "source_accuracy", "agreement", "im_source"])
def test_missing_evidence_is_named(name):
    with pytest.raises(UndefinedMetricError, match="evidence that is missing"):
        value(name, PERFECT)


def test_evidence_that_does_not_fit_is_refused():
    for kw in (
        {"target_features": np.ones((3, 2))},
        {"target_features": np.full((12, 2), np.nan)},
        {"reference": UNIFORM[:5]},
        {"source": PERFECT},
        {"source": PERFECT, "source_labels": np.array([0, 1])},
        {"source": PERFECT, "source_labels": np.full(12, 3)},
    ):
        with pytest.raises(UndefinedMetricError):
            Evidence(PERFECT, **kw)
    with pytest.raises(UndefinedMetricError, match="softmax"):
        Evidence(np.array([[3.0, 1.0]]))
    with pytest.raises(UndefinedMetricError):
        value("class_ami", PERFECT[:2], target_features=np.ones((2, 2)))
    with pytest.raises(UndefinedMetricError):
        value("snd", PERFECT[:1])


def test_logits_become_probabilities():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(Evidence.from_logits(logits).target, softmax(logits))
