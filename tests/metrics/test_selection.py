"""Choosing without target labels."""

import numpy as np
import pytest

from perceptransfer.core.errors import ConfigError, UndefinedMetricError
from perceptransfer.metrics import VALIDATORS, Evidence, check_validator, select

LABELS = np.arange(30) % 3
FEATURES = 10.0 * np.eye(3)[LABELS] + np.random.default_rng(0).normal(0, 0.1, (30, 3))


def candidate(right, source_right=30, features=FEATURES):
    """Certain predictions of which the first ``right`` agree with the clusters."""
    predicted = np.where(np.arange(30) < right, LABELS, 0)
    known = np.where(np.arange(30) < source_right, LABELS, (LABELS + 1) % 3)
    return Evidence(np.eye(3)[predicted], features, np.eye(3)[known], LABELS)


def test_the_best_one_is_chosen_and_both_agree():
    result = select({"poor": candidate(10), "good": candidate(30), "fair": candidate(20)})
    assert (result.best, result.validator, result.second, result.second_best) == (
        "good", "class_ami", "im_source", "good",
    )  # fmt: skip
    assert list(result.scores) == list(result.second_scores) == ["poor", "good", "fair"]
    assert not result.disagreement
    assert result.note is None


def test_disagreement_is_reported_and_does_not_change_the_choice():
    result = select({"forgot": candidate(30, source_right=0), "kept": candidate(25)})
    assert (result.best, result.second_best, result.disagreement) == ("forgot", "kept", True)
    assert "disagree" in result.note
    assert "forgot" in result.note
    assert "kept" in result.note


def test_the_first_of_equal_candidates_is_chosen():
    result = select({"b": candidate(30), "a": candidate(30)})
    assert (result.best, result.disagreement) == ("b", False)


@pytest.mark.parametrize(
    ("validator", "loss"),
    [
        ("entropy", "MCC"),
        ("bnm", "perceptransfer.alignment.MCC"),
        ("bnm", "BNM"),
        ("entropy", "my_losses.Entropy"),
        ("im", "IM"),
        ("im_source", "SHOT"),
        ("snd", "some.where.SND"),
        ("class_ami", "ClassAMI"),
    ],
)
def test_a_validator_equal_to_the_training_loss_is_refused(validator, loss):
    with pytest.raises(ConfigError, match="trained on") as caught:
        select({"a": candidate(30)}, validator, training_losses=["DANN", loss])
    assert caught.value.key == "validator"
    offered = caught.value.remedy.removeprefix("use one of ").split(", ")
    assert validator not in offered
    for name in offered:
        check_validator(name, [loss])


@pytest.mark.parametrize("loss", ["DANN", "MMD", "CORAL", "NoAlignment", "torch.nn.CrossEntropyLoss"])
def test_other_losses_leave_every_validator(loss):
    for validator in VALIDATORS:
        check_validator(validator, [loss])


def test_the_default_pair_serves_mcc():
    result = select({"a": candidate(30), "b": candidate(10)}, training_losses=["MCC"])
    assert (result.best, result.second_best) == ("a", "a")


def test_a_second_opinion_that_cannot_be_had_says_why():
    bare = {"a": Evidence(np.eye(3)[LABELS], FEATURES)}
    missing = select(bare)
    assert (missing.best, missing.second_best, missing.disagreement) == ("a", None, False)
    assert "missing" in missing.note
    trained = select({"a": candidate(30)}, training_losses=["SHOT"])
    assert trained.second_best is None
    assert "trained on" in trained.note
    assert select(bare, second=None).note is None
    assert select(bare, "im", second="im").second is None


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="class_ami"):
        select({"a": candidate(30)}, "oracle")
    with pytest.raises(ConfigError, match="unknown"):
        select({"a": candidate(30)}, second="oracle")
    with pytest.raises(UndefinedMetricError, match="no candidates"):
        select({})
    with pytest.raises(UndefinedMetricError, match="step 300"):
        select({"step 300": Evidence(np.eye(3)[LABELS])})
