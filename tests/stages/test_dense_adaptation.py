"""Adaptation of models with masks, keypoints and depth, with and without a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from perceptransfer.alignment import ADVENT, CORAL, DANN, MCC, EntropyMinimization, Sum
from perceptransfer.core.config import config_of, evolve, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import AppearanceAugmentation, StrongAugmentation, WeakAugmentation
from perceptransfer.learning import Bars, Teacher, build_model, build_tasks, pseudo_labelled
from perceptransfer.learning.mean_teacher import RunningBars, believed
from perceptransfer.stages import Align, Finetune, SelfTrain, Specialize
from tests.dense import TASKS, bar_domains, bar_start
from tests.tiny import CPU

ALIGN = Sum([MCC(), DANN(hidden=8, level=0), ADVENT(hidden=4, kinds=["mask"]), EntropyMinimization(["keypoints"])])
STAGES = {
    "align": Align(steps=3, batch_size=8, loss=ALIGN),
    "self_train": SelfTrain(rounds=2, steps=2, batch_size=8, loss=ALIGN, target_augment=WeakAugmentation()),
    "teacher": SelfTrain(rounds=1, steps=3, batch_size=8, teacher=Teacher(), target_augment=WeakAugmentation()),
    "masked": SelfTrain(rounds=1, steps=3, batch_size=8, teacher=Teacher(mask_ratio=0.5), loss=CORAL(level=-1)),
    "finetune": Finetune(steps=3, batch_size=4, replay_weight=1, pseudo_weight=1, halved_at=None),
    "specialize": Specialize(batch_size=16, rollback=False),
}


@pytest.fixture(scope="module")
def domains():
    return bar_domains()


@pytest.fixture(scope="module")
def start(domains):
    return bar_start(domains)


@pytest.fixture(scope="module")
def dense_only(domains):
    return bar_start(domains, TASKS[1:], steps=30)


def run(stage: Any, domains: Any, checkpoint: Any):
    given = {role: domains[role] for role in stage.reads}
    return stage.run(checkpoint, given, seed=5, runtime=CPU)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_takes_every_task_and_equal_seeds_give_equal_bits(name: str, domains, start) -> None:
    stage = STAGES[name]
    one, two = run(stage, domains, start), run(instantiate(config_of(stage)), domains, start)
    assert one.checkpoint.state_hash() == two.checkpoint.state_hash() != start.state_hash()
    assert one.checkpoint.state.keys() == start.state.keys()


@pytest.mark.parametrize("name", [name for name in STAGES if name != "align"])
def test_a_model_without_a_class_is_adapted_too(name: str, domains, dense_only) -> None:
    stage = STAGES[name]
    stage = evolve(stage, loss=None) if isinstance(stage, SelfTrain) else stage  # MCC needs a class
    report = run(stage, domains, dense_only).report
    assert "validators_after" not in report
    if name == "specialize":
        assert report["validator"] is None and "kept unjudged" in report["reason"] and not report["rolled_back"]


def test_rollback_without_a_judge_keeps_the_change_and_says_so(domains, dense_only) -> None:
    result = run(Specialize(batch_size=16, rollback=True), domains, dense_only)
    assert result.report["adabn"]["layers"] > 0 and not result.report["rolled_back"]
    assert result.checkpoint.state_hash() != dense_only.state_hash()


def test_pseudo_labels_of_a_taught_model_are_mostly_right(domains, start) -> None:
    model, tasks = build_model(start, seed=0), build_tasks(start)
    bars = Bars(keep=0.6, threshold=0.99, agreement=0.12)
    found, report = pseudo_labelled(model, tasks, domains["unlabeled"], domains["synthetic"].targets, bars, 0)
    truth = domain_truth(domains)
    place = [domains["unlabeled"].hashes.index(name) for name in found.hashes]
    assert len(place) >= 0.6 * 40 - 2 and (found.labels == truth.labels[place]).mean() > 0.9
    mask, true_mask = found.targets.arrays["mask"], truth.targets.arrays["mask"][place]
    kept = mask != 255
    assert 0.5 < kept.mean() < 1.0 and (mask[kept] == true_mask[kept]).mean() > 0.97
    points, true_points = found.targets.arrays["keypoints"][:, 0], truth.targets.arrays["keypoints"][place, 0]
    sure = points[..., 2] == 2
    assert 0.2 < sure.mean() < 1.0 and set(np.unique(points[..., 2])) == {0.0, 2.0}
    assert np.median(np.linalg.norm(points - true_points, axis=-1)[sure]) < 1.5
    assert "depth" not in found.targets.arrays and found.targets.mask_classes == ("floor", "bar")
    assert report["segmentation"]["kept_per_class"].keys() == {"0", "1"} and 0 < report["keypoints"]["agreeing"] <= 1
    again, _ = pseudo_labelled(model, tasks, domains["unlabeled"], domains["synthetic"].targets, bars, 0)
    assert again.fingerprint == found.fingerprint


def domain_truth(domains):
    from tests.dense import bars

    truth = bars("truth", 40, 2)
    assert truth.hashes == domains["unlabeled"].hashes
    return truth


def test_self_training_does_not_harm_where_there_is_no_gap(domains, start) -> None:
    stage = SelfTrain(rounds=2, steps=10, batch_size=16, lr=1e-4)
    report = run(stage, domains, start).report
    assert [set(round_) >= {"kept", "segmentation", "keypoints"} for round_ in report["rounds"]] == [True, True]
    assert report["validators_after"]["source_accuracy"] >= report["validators_before"]["source_accuracy"] - 0.1


def test_depth_alone_has_no_pseudo_labels(domains) -> None:
    depth = bar_start(domains, TASKS[3:], steps=2)
    with pytest.raises(ConfigError, match="how sure"):
        run(SelfTrain(rounds=1, steps=1, batch_size=4), domains, depth)
    assert run(Align(steps=2, batch_size=8, loss=DANN(level=0)), domains, depth).checkpoint.state_hash()


def test_arguments_that_came_later_do_not_move_the_keys() -> None:
    assert fingerprint(SelfTrain()) == fingerprint(SelfTrain(teacher=None, agreement=None))
    others = {fingerprint(stage) for stage in (SelfTrain(), SelfTrain(agreement=0.1), SelfTrain(teacher=Teacher()))}
    assert len(others) == 3
    assert fingerprint(SelfTrain(teacher=Teacher(look=AppearanceAugmentation(0.5)))) not in others


@pytest.mark.parametrize(
    "make",
    [
        lambda: Teacher(threshold=1.5),
        lambda: Teacher(mask_ratio=-0.1),
        lambda: Teacher(mask_cells=0),
        lambda: SelfTrain(agreement=2.0),
    ],
)
def test_arguments_out_of_range_are_refused(make) -> None:
    with pytest.raises(ConfigError, match="self_train"):
        make()


def test_a_look_that_moves_things_is_refused(domains, start) -> None:
    stage = SelfTrain(rounds=1, steps=1, batch_size=4, teacher=Teacher(look=StrongAugmentation()))
    with pytest.raises(ConfigError, match="moves"):
        run(stage, domains, start)


def test_only_the_sure_are_weighted() -> None:
    bars, size = RunningBars(0.9), torch.Size([2, 2])
    logits = torch.tensor([[9.0, 0.0], [0.1, 0.0], [0.0, 1.0]])
    classes = believed(TASKS[0], logits, size, bars)
    # the mean of class 0 is about .76: the second lies below it; class 1 has one image, which is its own mean
    assert classes["label"].tolist() == [0, 0, 1] and classes["label_weight"].tolist() == [1.0, 0.0, 1.0]
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 1, 0], maps[0, 0, 1, 0] = 20.0, 3.0
    masks = believed(TASKS[1], maps, size, bars)
    assert masks["mask"][0].tolist() == [[1, 1], [0, 0]] and masks["mask_weight"][0].tolist() == [[1, 1], [1, 0]]
    heat = torch.zeros(2, 2, 12, 12)
    heat[0, 0, 3, 4] = 30.0
    points = believed(TASKS[2], heat, size, bars)
    assert points["keypoints"].shape == (2, 1, 2, 3)
    assert points["keypoints_weight"][0].tolist() == pytest.approx([1.0, 9 / 144])  # a flat map's corner window
    assert points["keypoints_weight"][1].tolist() == pytest.approx([0.0, 9 / 144])
    assert points["keypoints"][0, 0, 0, :2].tolist() == pytest.approx([4.5 / 12, 3.5 / 12])
    assert believed(TASKS[3], torch.zeros(2, 1, 2, 2), size, bars) == {}


def test_bars_follow_the_running_mean_of_each_class() -> None:
    bars = RunningBars(0.8, decay=0.5)
    first = bars.sure("t", torch.tensor([0, 0, 1]), torch.tensor([0.4, 0.6, 0.99]), 3)
    assert first.tolist() == [False, True, True]  # bars: .5, min(.8, .99), .8 for a class not seen
    assert bars.means["t"].tolist() == pytest.approx([0.5, 0.99, 0.8])
    second = bars.sure("t", torch.tensor([2, 0]), torch.tensor([0.5, 0.7]), 3)
    assert bars.means["t"].tolist() == pytest.approx([0.6, 0.99, 0.65])
    assert second.tolist() == [False, True]
