"""Class and mask of digits through every stage, with every weighting; identity of what came before stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from perceptransfer.core.config import config_of, fingerprint, identity_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import FontDigits, ImageSet, ImageSource, TransferData
from perceptransfer.data.targets import Targets
from perceptransfer.learning import Runtime, Teacher, initial_checkpoint
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain
from perceptransfer.tasks import Classification, Segmentation
from perceptransfer.weighting import FAMO, PCGrad, Static, Uncertainty, weightings
from tests.tiny import CPU, FewScanned

TASKS = [Classification(10), Segmentation(2, width=4)]
ENCODER = Encoder(options={"widths": [4, 8, 8], "dim": 16, "downsample": "stride"})


class Inked(ImageSource):
    """Digits with a mask of their bright pixels."""

    def __init__(self, digits: ImageSource | None = None) -> None:
        self.digits = FontDigits(count=160) if digits is None else digits

    def load(self, size: tuple[int, int]) -> ImageSet:
        given = self.digits.load(size)
        pixels = given.images(range(len(given)))
        mask = (pixels.mean(3) > 128).astype(np.uint8)
        targets = Targets({"mask": mask}, mask_classes=("paper", "ink"))
        return ImageSet(given.records, given.classes, given.size, pixels=pixels, targets=targets)


@pytest.fixture(scope="module")
def domains():
    return TransferData(synthetic=Inked(), real=Inked(FewScanned()), real_fraction=0.2).prepare(0)


class Judged(FAMO):
    """Keeps the losses before and after each step."""

    seen: ClassVar[list[tuple[torch.Tensor, torch.Tensor]]] = []

    def after_step(self, losses: torch.Tensor) -> None:
        self.seen.append((self.before.clone(), losses.clone()))
        super().after_step(losses)


class Clock(Static):
    """Keeps the progress at each step."""

    seen: ClassVar[list[float]] = []

    def forward(self, losses: Any, *, progress: float) -> torch.Tensor:
        self.seen.append(progress)
        return super().forward(losses, progress=progress)


def run(stage: Any, domains: Any, runtime: Runtime = CPU):
    given = {role: domains[role] for role in stage.reads}
    return stage.run(initial_checkpoint(ENCODER, TASKS), given, seed=5, runtime=runtime)


@pytest.mark.parametrize("name", weightings())
@pytest.mark.parametrize(
    "stage",
    [
        Pretrain(steps=4, batch_size=8),
        Align(steps=3, batch_size=8),
        SelfTrain(rounds=2, steps=2, batch_size=8),
        Finetune(steps=4, head_steps=2, batch_size=8, replay_weight=1, rounds=1),
        Finetune(steps=3, batch_size=8, lora_rank=2),
    ],
    ids=["pretrain", "align", "self_train", "finetune", "finetune lora"],
)
def test_every_stage_with_every_method(stage: Any, name: str, domains: Any) -> None:
    stage = instantiate(config_of(stage))
    changed = type(stage)(**{**config_of(stage)["init_args"], "weighting": weightings()[name]()})
    one, two = run(changed, domains), run(changed, domains)
    assert one.checkpoint.state_hash() == two.checkpoint.state_hash()
    assert not any("weighting" in key for key in one.checkpoint.state), "the model is the model alone"
    report = one.report["multi_task"]
    assert report["weighting"] == name and set(report["weights"]) == {"class", "segmentation"}
    (pair,) = report["conflict"].values()
    assert -1 <= pair["mean"] <= 1 and pair["groups"]
    if name == "Static":
        assert run(stage, domains).checkpoint.state_hash() == one.checkpoint.state_hash(), "the default"
    if name == "Uncertainty" and stage.name == "finetune":
        assert report["weights"]["class"]["first"] == 1.0 != report["weights"]["class"]["last"]


def test_famo_judges_a_step_by_the_answers_that_it_was_trained_on(domains: Any) -> None:
    Judged.seen.clear()
    teacher = Teacher(threshold=0.0, mask_ratio=0.5)
    run(SelfTrain(rounds=1, steps=3, batch_size=8, lr=1e-9, teacher=teacher, weighting=Judged()), domains)
    assert len(Judged.seen) == 3
    for before, after in Judged.seen:  # at this rate nothing moves
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_a_training_in_rounds_is_one_run(domains: Any) -> None:
    Clock.seen.clear()
    stage = Finetune(steps=6, head_steps=2, batch_size=8, pseudo_weight=1, rounds=2, weighting=Clock())
    run(stage, domains)
    assert Clock.seen == pytest.approx([i / 6 for i in range(6)])


def test_what_was_stored_before_keeps_its_identity() -> None:
    for kind in (Pretrain, Align, SelfTrain, Finetune):
        assert "weighting" not in identity_of(kind())["init_args"]
        assert config_of(kind())["init_args"]["weighting"] is None
        assert fingerprint(kind(weighting=Static())) != fingerprint(kind())
        assert fingerprint(kind(weighting=PCGrad())) != fingerprint(kind(weighting=Static()))
        again = instantiate(config_of(kind(weighting=Static({"class": 2.0}))))
        assert fingerprint(again) == fingerprint(kind(weighting=Static({"class": 2.0})))


def test_a_stage_does_not_keep_what_a_run_has_learnt(domains: Any) -> None:
    stage = Pretrain(steps=4, batch_size=8, weighting=Uncertainty())
    run(stage, domains)
    assert stage.weighting is not None and not list(stage.weighting.parameters())


def test_a_wrong_task_name_is_refused_before_training(domains: Any) -> None:
    stage = Pretrain(steps=4, batch_size=8, weighting=Static({"mask": 2.0}))
    with pytest.raises(ConfigError, match=r"weighting\.weights(.|\n)*the tasks are class, segmentation"):
        run(stage, domains)


def test_a_single_task_reports_nothing_about_several(domains: Any) -> None:
    stage = Pretrain(steps=2, batch_size=8, weighting=PCGrad())
    given = {"synthetic": domains["synthetic"]}
    alone = stage.run(initial_checkpoint(ENCODER, TASKS[:1]), given, seed=5, runtime=CPU)
    plain = Pretrain(steps=2, batch_size=8).run(initial_checkpoint(ENCODER, TASKS[:1]), given, seed=5, runtime=CPU)
    assert "multi_task" not in alone.report and "multi_task" not in plain.report
    assert alone.checkpoint.state_hash() == plain.checkpoint.state_hash(), "one gradient conflicts with nothing"


def test_a_pipeline_scores_every_task_after_each_stage(tmp_path: Path) -> None:
    data = TransferData(synthetic=Inked(), real=Inked(FewScanned()), real_fraction=0.2)
    pipeline = Pipeline(
        ENCODER,
        list(TASKS),
        pretrain=Pretrain(steps=4, batch_size=8, weighting=Uncertainty()),
        finetune=Finetune(steps=2, batch_size=8, weighting=PCGrad()),
    )
    result = pipeline.run(data, runtime=CPU)
    for stage in ("pretrain", "finetune"):
        assert result.reports[stage]["multi_task"]["samples"] > 0
        found = result.evaluations[stage]
        assert [found.task, *(other.task for other in found.others)] == ["class", "segmentation"]


@pytest.mark.slow
def test_projected_gradients_are_the_same_on_two_devices_every_time(domains: Any) -> None:
    stage = Pretrain(steps=3, batch_size=8, weighting=PCGrad())
    runs = [run(stage, domains, dataclasses.replace(CPU, devices=2)).checkpoint for _ in range(2)]
    assert runs[0].state_hash() == runs[1].state_hash() != run(stage, domains).checkpoint.state_hash()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in runs[0].state.values() if tensor.is_floating_point())
