"""Which predictions are believed, what is replayed, what moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.learning import choose_pseudo_labels
from perceptransfer.stages import Finetune, SelfTrain, Specialize
from perceptransfer.stages.finetune import _without
from tests.tiny import CPU, tiny_data, tiny_start


@pytest.fixture(scope="module")
def domains():
    return tiny_data().prepare(0)


@pytest.fixture(scope="module")
def start(domains):
    return tiny_start(domains)


def test_choice_of_pseudo_labels_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    confidence = np.array([0.99, 0.97, 0.6, 0.5, 0.4, 0.3])
    chosen = choose_pseudo_labels(labels, confidence, ("a", "b", "c"), keep=0.25, threshold=0.95)
    # a: bound min(.95, upper quartile .975) keeps two; b: the surer half, though far below the threshold; c: nothing
    assert chosen.indices.tolist() == [0, 1, 4] and chosen.labels.tolist() == [0, 0, 1]
    assert chosen.report["kept_per_class"] == {"a": 0.5, "b": 0.5, "c": None}
    assert chosen.report["predicted_share"] == pytest.approx({"a": 4 / 6, "b": 2 / 6, "c": 0.0})


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    keep=st.floats(0, 1),
    threshold=st.floats(0, 1),
    data=st.data(),
)
def test_within_a_class_the_kept_are_surer_than_the_dropped(labels, keep, threshold, data) -> None:
    confidence = np.array(data.draw(st.lists(st.floats(0.2, 1), min_size=len(labels), max_size=len(labels))))
    predicted = np.array(labels)
    chosen = choose_pseudo_labels(predicted, confidence, tuple("abcde"), keep=keep, threshold=threshold)
    kept = np.isin(np.arange(len(predicted)), chosen.indices)
    assert np.array_equal(chosen.labels, predicted[chosen.indices])
    assert kept[confidence >= threshold].all()
    for label in np.unique(predicted):
        mine = predicted == label
        assert kept[mine].any()
        assert kept[mine].mean() >= keep - 1 / mine.sum()
        if (mine & ~kept).any():
            assert confidence[mine & kept].min() >= confidence[mine & ~kept].max()


def test_nothing_is_assumed_about_class_shares() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    chosen = choose_pseudo_labels(labels, np.full(100, 0.99), ("a", "b"), keep=0.5, threshold=0.95)
    assert np.bincount(chosen.labels).tolist() == [90, 10]


def test_rounds_are_reported_and_keep_rises(domains, start) -> None:
    stage = SelfTrain(rounds=3, steps=2, batch_size=16, keep=(0.2, 0.8), threshold=1.0)
    data = {role: domains[role] for role in stage.reads}
    rounds = stage.run(start.checkpoint, data, seed=0, runtime=CPU).report["rounds"]
    assert [stage.keep_in(i) for i in range(3)] == pytest.approx([0.2, 0.5, 0.8])
    kept = [round_["kept"] for round_ in rounds]
    assert (
        len(kept) == 3 and kept == sorted(kept) and all(set(r["kept_per_class"]) == set("0123456789") for r in rounds)
    )


def test_bought_labels_leave_the_unlabeled_images(domains) -> None:
    rest = _without(domains["unlabeled"], domains["labeled"])
    assert len(rest) == len(domains["unlabeled"]) - len(domains["labeled"])
    assert not set(rest.hashes) & set(domains["labeled"].hashes)


@pytest.mark.parametrize(
    ("stage", "moved"),
    [
        (Finetune(steps=2, batch_size=8, tune="head"), "heads."),
        (Finetune(steps=2, batch_size=8, tune="first"), "blocks.0"),
        (Finetune(steps=2, batch_size=8, tune="last"), "bottleneck"),
    ],
)
def test_only_the_chosen_weights_move(domains, start, stage: Finetune, moved: str) -> None:
    before = start.checkpoint.state
    after = stage.run(start.checkpoint, {"labeled": domains["labeled"]}, seed=0, runtime=CPU).checkpoint.state
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(moved in name for name in changed)
    assert all(moved in name or name.startswith("heads.") for name in changed)


def test_adabn_statistics_are_those_of_the_device(domains, start) -> None:
    stage = Specialize(batch_size=len(domains["device"]), rollback=False)
    result = stage.run(start.checkpoint, {"device": domains["device"]}, seed=0, runtime=CPU)
    state = start.checkpoint.state
    images = torch.from_numpy(domains["device"].images(range(len(domains["device"])))).permute(0, 3, 1, 2) / 255.0
    normalised = (images - state["encoder.mean"]) / state["encoder.std"]
    first = torch.nn.functional.conv2d(normalised, state["encoder.backbone.blocks.0.0.weight"], stride=2, padding=2)
    mean = result.checkpoint.state["encoder.backbone.blocks.0.1.running_mean"]
    assert torch.allclose(mean, first.mean((0, 2, 3)), atol=1e-4)
    assert not torch.allclose(mean, state["encoder.backbone.blocks.0.1.running_mean"], atol=1e-3)


def test_rollback_returns_the_incoming_weights_exactly_when_the_validator_falls(domains, start) -> None:
    data = {role: domains[role] for role in ("device", "synthetic_val")}
    for validator in ("class_ami", "entropy", "im", "snd", "source_accuracy"):
        result = Specialize(batch_size=32, validator=validator).run(start.checkpoint, data, seed=0, runtime=CPU)
        report = result.report
        fell = report["validators_after"][validator] < report["validators_before"][validator]
        assert report["rolled_back"] is fell
        assert (result.checkpoint.state_hash() == start.checkpoint.state_hash()) is fell


def test_a_validator_without_a_value_leaves_the_change_unjudged(domains, start) -> None:
    stage = Specialize(batch_size=32, validator="source_accuracy")
    result = stage.run(start.checkpoint, {"device": domains["device"]}, seed=0, runtime=CPU)
    assert "kept unjudged" in result.report["reason"] and result.report["rolled_back"] is False
    assert result.checkpoint.state_hash() != start.checkpoint.state_hash()
    with pytest.raises(ConfigError, match="compares with the model before"):
        Specialize(validator="agreement")


def test_what_is_not_a_real_label_counts_less_the_more_real_labels_there_are(domains) -> None:
    labeled = domains["labeled"]
    per_class = len(labeled) / 10
    halved = Finetune(replay_weight=0.4, pseudo_weight=0.8, halved_at=per_class)
    assert halved.weights(labeled) == pytest.approx({"source": 0.2, "pseudo": 0.4})
    few = halved.weights(labeled.subset(range(len(labeled) // 2)))
    assert few["source"] > 0.2 and few["pseudo"] > 0.4
    constant = Finetune(replay_weight=0.4, pseudo_weight=0.8, halved_at=None)
    assert constant.weights(labeled) == {"source": 0.4, "pseudo": 0.8}


def test_with_many_real_labels_the_other_streams_are_left_out(domains, start) -> None:
    data = {role: domains[role] for role in ("labeled", "synthetic", "unlabeled")}
    many = Finetune(steps=2, batch_size=8, replay_weight=0.4, pseudo_weight=0.8, halved_at=0.01)
    assert many.weights(domains["labeled"]) == {"source": 0.0, "pseudo": 0.0}
    plain = Finetune(steps=2, batch_size=8)
    runs = [s.run(start.checkpoint, data, seed=0, runtime=CPU).checkpoint.state_hash() for s in (many, plain)]
    assert runs[0] == runs[1]
