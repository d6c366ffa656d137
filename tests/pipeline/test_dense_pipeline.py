"""Class, mask and keypoints of one model through pretraining, alignment, fine-tuning and evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.core.features import LABEL
from perceptransfer.core.phase import phase
from perceptransfer.learning import Runtime, answer, answerer, build_model, build_tasks
from perceptransfer.pipeline import Pipeline, Store, evaluate
from perceptransfer.pipeline.pipeline import PipelineResult
from perceptransfer.tasks import Classification, Depth, Segmentation
from tests.shapes import CLASSES, Shapes, shapes_data, shapes_pipeline

CPU = Runtime(accelerator="cpu")


@pytest.fixture(scope="module")
def data():
    return shapes_data()


@pytest.fixture(scope="module")
def result(data, tmp_path_factory: pytest.TempPathFactory) -> PipelineResult:
    return shapes_pipeline().run(data, store=Store(tmp_path_factory.mktemp("store")), runtime=CPU)


def test_every_stage_is_scored_on_every_task(result: PipelineResult) -> None:
    assert list(result.evaluations) == ["pretrain", "align", "finetune"]
    for evaluation in result.evaluations.values():
        tasks = [evaluation, *evaluation.others]
        assert [(found.task, found.metric) for found in tasks] == [
            ("class", "accuracy"), ("segmentation", "mean_iou"), ("keypoints", "pck@0.1"),
        ]  # fmt: skip
        assert all(found.n_test == 15 and 0 <= found.score <= 1 for found in tasks)
        assert all(found.score_synthetic is not None and set(found.per_class) == set(CLASSES) for found in tasks)


def test_scores_are_those_of_the_answers(result: PipelineResult, data) -> None:
    domains = data.prepare(0)
    model, tasks = build_model(result.checkpoint, seed=0), build_tasks(result.checkpoint)
    with phase("evaluation"):
        outcome = domains["test"].evaluate(answerer(model, tasks, data.size))
    last = result.evaluations["finetune"]
    held_out = domains["synthetic_val"]
    answers = answer(model, tasks, held_out)
    for task, found in zip(tasks, (last, *last.others), strict=True):
        said, truth = outcome.outputs[task.name], outcome.of(task.label_key)
        assert found.score == pytest.approx(task.score(said, truth, data.size))
        assert found.counts().score() == pytest.approx(found.score)
        expected = task.score(answers[task.name], held_out.target(task.label_key), data.size)
        assert found.score_synthetic == pytest.approx(expected)
        if task.label_key != LABEL:
            chosen = outcome.truth[LABEL] == 1
            assert found.per_class["green"] == pytest.approx(task.score(said[chosen], truth[chosen], data.size))


def test_intervals_draw_the_groups_of_the_test(result: PipelineResult) -> None:
    last = result.evaluations["finetune"]
    for found in (last, *last.others):
        assert found.groups is not None and len(set(found.groups)) == 5
        assert found.counts().hits.shape[:2] == (1, 5)


def test_batches_of_answers_do_not_change_them(result: PipelineResult, data) -> None:
    domains = data.prepare(0)
    model, tasks = build_model(result.checkpoint, seed=0), build_tasks(result.checkpoint)
    images = domains["synthetic"].images(np.arange(11))
    whole, parts = (answerer(model, tasks, data.size, batch_size=size)(images) for size in (256, 4))
    for name, said in whole.items():
        np.testing.assert_allclose(said, parts[name], rtol=1e-4, atol=1e-3)


def test_a_second_run_gives_the_same_weights_and_scores(result: PipelineResult, data, tmp_path: Path) -> None:
    again = shapes_pipeline().run(data, store=Store(tmp_path), runtime=CPU)
    assert again.checkpoint.state_hash() == result.checkpoint.state_hash() and again.keys == result.keys
    assert again.evaluations == result.evaluations
    again.checkpoint.save(tmp_path / "c.safetensors")
    assert evaluate(Checkpoint.load(tmp_path / "c.safetensors"), data.prepare(0)) == result.evaluations["finetune"]


def test_keys_move_with_dense_labels_of_the_domains_that_a_stage_reads(data) -> None:
    def keys(pipeline: Pipeline, source) -> dict[str, str]:
        return {planned.name: planned.key for planned in pipeline.plan(source.prepare(0), 0)}

    before = keys(shapes_pipeline(), data)
    real = keys(shapes_pipeline(), shapes_data(real=Shapes(45, 1, 0.7, True, kinds="mask")))
    assert {name for name in before if before[name] != real[name]} == {"finetune"}
    fewer = keys(shapes_pipeline(), shapes_data(synthetic=Shapes(60, kinds="mask,keypoints")))
    assert all(before[name] != fewer[name] for name in before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"synthetic": Shapes(60, kinds="")},
            r"'segmentation' needs labels of the kind 'mask'[\s\S]*leave out the task",
        ),
        ({"real": Shapes(45, 1, 0.7, True, kinds="mask")}, r"'keypoints' needs labels[\s\S]*tasks\.keypoints"),
    ],
)
def test_a_task_without_labels_is_named(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        shapes_pipeline().run(shapes_data(**changes), store=Store(tmp_path), runtime=CPU, evaluate_stages=False)


def test_a_test_without_the_tasks_labels_is_named(tmp_path: Path) -> None:
    data = shapes_data(real=Shapes(45, 1, 0.7, True, kinds=""))
    pipeline = shapes_pipeline(align=None, finetune=None)
    with pytest.raises(DataError, match=r"the real test has no labels of the kind 'mask', only \['label'\]"):
        pipeline.run(data, store=Store(tmp_path), runtime=CPU)


def test_dense_tasks_alone_need_no_classification(data, tmp_path: Path) -> None:
    tasks = [Depth(width=4), Segmentation(4, width=4)]
    pipeline = shapes_pipeline(align=None, finetune=None, tasks=tasks)
    found = pipeline.run(data, store=Store(tmp_path), runtime=CPU).evaluations["pretrain"]
    assert (found.task, found.correct, found.confusion) == ("depth", None, None)
    assert {"abs_rel", "rmse", "delta1"} <= set(found.details) and found.others[0].task == "segmentation"
    json_row = found.as_dict()
    assert "others" not in json_row and len(json_row["hits"]) == len(json_row["totals"]) == 15


def test_the_first_task_need_not_be_the_class(data, tmp_path: Path) -> None:
    pipeline = shapes_pipeline(tasks=[Segmentation(4, width=4), Classification(3)])
    found = pipeline.run(data, store=Store(tmp_path), runtime=CPU).evaluations["finetune"]
    assert found.task == "segmentation" and found.others[0].confusion is not None


def test_no_task_can_be_scored_from_within_training(result: PipelineResult, data) -> None:
    with pytest.raises(TestDomainError), phase("training"):
        evaluate(result.checkpoint, data.prepare(0))
