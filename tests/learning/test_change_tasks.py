"""Heads are exchanged, the encoder goes on."""

from __future__ import annotations

import pytest
import torch

from perceptransfer.core.config import fingerprint, identity_of
from perceptransfer.core.errors import ConfigError
from perceptransfer.learning import build_model, build_tasks, change_tasks, initial_checkpoint
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Finetune, Pretrain
from perceptransfer.tasks import Classification, Keypoints, Segmentation
from tests.shapes import shapes_data, shapes_pipeline
from tests.tiny import CPU

CLASS, MASK, POINTS = Classification(3), Segmentation(4, width=4), Keypoints(4, width=4)


@pytest.fixture(scope="module")
def domains():
    return shapes_data().prepare(0)


@pytest.fixture(scope="module")
def trained(domains):
    start = initial_checkpoint(shapes_pipeline().encoder, [CLASS, MASK])
    stage = Pretrain(steps=2, batch_size=8)
    return stage.run(start, {"synthetic": domains["synthetic"]}, seed=0, runtime=CPU).checkpoint


def heads(state, name):
    return {key: value for key, value in state.items() if key.startswith(f"heads.{name}.")}


def test_the_encoder_and_the_head_of_a_task_that_stays_are_carried_on(trained) -> None:
    changed = change_tasks(trained, [POINTS, MASK], seed=3)
    assert [task.name for task in build_tasks(changed)] == ["keypoints", "segmentation"]
    carried = [key for key in trained.state if not key.startswith("heads.class.")]
    assert all(torch.equal(changed.state[key], trained.state[key]) for key in carried)
    assert not heads(changed.state, "class") and heads(changed.state, "keypoints")
    assert build_model(changed, seed=0).state_dict().keys() == changed.state.keys()
    assert trained.model["tasks"] != changed.model["tasks"], "the parent is left alone"


def test_new_heads_come_from_the_seed_alone(trained) -> None:
    first, again, other = (change_tasks(trained, [POINTS], seed=seed) for seed in (3, 3, 4))
    assert first.state_hash() == again.state_hash() != other.state_hash()
    differ = [key for key in first.state if not torch.equal(first.state[key], other.state[key])]
    assert differ and all(key.startswith("heads.") for key in differ)


def test_a_task_of_the_same_name_that_is_another_one_starts_anew(trained) -> None:
    wide = change_tasks(trained, [Segmentation(4, width=8)], seed=0)
    assert wide.state["heads.segmentation.out.weight"].shape[1] == 8
    again = change_tasks(trained, [Segmentation(4, class_weights=[1, 1, 1, 2], width=4)], seed=0)
    key = "heads.segmentation.out.weight"
    assert not torch.equal(again.state[key], trained.state[key])


def test_before_any_training_only_the_description_changes() -> None:
    changed = change_tasks(initial_checkpoint(Encoder(), [CLASS]), [MASK], seed=0)
    assert not changed.state and [task.name for task in build_tasks(changed)] == ["segmentation"]


def test_finetuning_on_another_task_scores_that_task_and_has_a_key_of_its_own(domains) -> None:
    pretrain, finetune = Pretrain(steps=2, batch_size=8), Finetune(steps=2, batch_size=8, tasks=[POINTS])
    parts = {"align": None, "pretrain": pretrain, "tasks": [MASK]}
    pipeline = shapes_pipeline(finetune=finetune, **parts)
    result = pipeline.run(shapes_data(), seed=0, runtime=CPU)
    assert [found.task for found in result.evaluations.values()] == ["segmentation", "keypoints"]
    assert result.evaluations["finetune"].metric == "pck@0.1" and result.report.task == "keypoints"
    assert "source_only" in str(result.report.transfer["gap_closed"].reason), "a mask is no baseline of keypoints"

    def keys(pipeline: Pipeline) -> list[str]:
        return [planned.key for planned in pipeline.plan(domains, 0)]

    plain = shapes_pipeline(finetune=Finetune(steps=2, batch_size=8), **parts)
    other = shapes_pipeline(finetune=Finetune(steps=2, batch_size=8, tasks=[CLASS]), **parts)
    assert keys(pipeline) == list(result.keys.values())
    assert len({keys(pipeline)[0], keys(plain)[0], keys(other)[0]}) == 1, "one pretraining"
    assert len({keys(pipeline)[1], keys(plain)[1], keys(other)[1]}) == 3


def test_stored_results_from_before_the_argument_stay_valid() -> None:
    assert "tasks" not in identity_of(Finetune())["init_args"]
    assert fingerprint(Finetune(tasks=None)) == fingerprint(Finetune()) != fingerprint(Finetune(tasks=[CLASS]))


@pytest.mark.parametrize("arguments", [{"tasks": []}, {"tasks": [CLASS], "pseudo_weight": 0.5}])
def test_what_cannot_go_on_is_refused(arguments: dict) -> None:
    with pytest.raises(ConfigError, match=r"finetune\.tasks"):
        Finetune(**arguments)
