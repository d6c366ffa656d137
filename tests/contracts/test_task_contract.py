"""What every task keeps, checked on all that the package has because they exist."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch

from perceptransfer import tasks
from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.data import ImageSet, to_tensor
from perceptransfer.data.batches import as_shares
from perceptransfer.metrics import hierarchical_bootstrap
from perceptransfer.models import Encoder, PerceptionModel
from perceptransfer.tasks import Task
from tests.shapes import Shapes

SIZE = (24, 32)
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "Classification": [{"num_classes": 3}, {"num_classes": 3, "metric": "balanced_accuracy", "label_smoothing": 0.1}],
    "Segmentation": [{"num_classes": 4}, {"num_classes": 4, "scored": [1, 2, 3], "class_weights": [0.5, 1, 1, 1]}],
    "Depth": [{}, {"metric": "abs_rel", "variance_focus": 0.0, "reference": 0.7}],
    "Keypoints": [{"num_keypoints": 4}, {"num_keypoints": 4, "reference": "box", "threshold": 0.2}],
}
KINDS = {
    name: cls
    for name in tasks.__all__
    if inspect.isclass(cls := getattr(tasks, name)) and issubclass(cls, Task) and cls is not Task
}
CASES = [(KINDS[name], arguments) for name in KINDS for arguments in ARGUMENTS[name]]
IDS = [f"{cls.__name__}-{i % 2}" for i, (cls, _) in enumerate(CASES)]
every_task = pytest.mark.parametrize(("cls", "arguments"), CASES, ids=IDS)


@pytest.fixture(scope="module")
def shapes() -> ImageSet:
    return Shapes(16).load(SIZE)


def truth_of(task: Task, images: ImageSet) -> np.ndarray:
    return images.labels if task.label_key == "label" else images.targets.arrays[task.label_key]


def label_of(task: Task, images: ImageSet) -> torch.Tensor:
    """Labels as a batch has them."""
    label = torch.from_numpy(truth_of(task, images))
    return as_shares(label, SIZE) if task.label_key == "keypoints" else label


def model_of(task: Task) -> PerceptionModel:
    torch.manual_seed(0)
    encoder = Encoder(options={"widths": [8, 8], "dim": 16, "image_size": list(SIZE)})
    return PerceptionModel(encoder, {task.name: task.make_head(encoder.dim, encoder.channels)})


def perfect(task: Task, truth: np.ndarray) -> np.ndarray:
    """What a model without an error would answer."""
    if task.label_key == "label":
        return np.eye(3)[truth]
    if task.label_key == "mask":
        return np.where(truth == 255, 0, truth)
    if task.label_key == "depth":
        return np.where(truth > 0, truth, 3)
    return truth[:, 0]


def test_every_task_of_the_package_is_tested() -> None:
    assert set(KINDS) == set(ARGUMENTS)


@every_task
def test_the_configuration_makes_the_task_again(cls: type[Task], arguments: dict[str, Any]) -> None:
    task = cls(**arguments)
    again = instantiate(config_of(task))
    assert fingerprint(again) == fingerprint(task) and (again.metric, again.name) == (task.metric, task.name)
    assert task.direction in ("higher", "lower")


@every_task
def test_the_loss_is_finite_and_reaches_encoder_and_head(
    cls: type[Task], arguments: dict[str, Any], shapes: ImageSet
) -> None:
    task = cls(**arguments)
    model, label = model_of(task), label_of(task, shapes)
    output = model(to_tensor(shapes.images(range(16)))).outputs[task.name]
    assert len(output) == 16 and output.shape[1] == task.num_outputs
    loss = task.loss(output, label)
    assert loss.shape == () and loss.dtype == torch.float32 and math.isfinite(loss.item()) and loss.item() > 0
    loss.backward()
    heads = list(model.heads.parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert any(p.grad.abs().max() > 0 for p in heads)
    assert any(p.grad.abs().max() > 0 for p in model.encoder.parameters())


@every_task
def test_weights_scale_each_images_share(cls: type[Task], arguments: dict[str, Any], shapes: ImageSet) -> None:
    task = cls(**arguments)
    output = model_of(task)(to_tensor(shapes.images(range(16)))).outputs[task.name].detach()
    label = label_of(task, shapes)
    plain = task.loss(output, label)
    if not arguments.get("label_smoothing"):
        torch.testing.assert_close(task.loss(output, label, torch.ones(16)), plain)
    torch.testing.assert_close(
        task.loss(output, label, torch.full((16,), 0.25)), 0.25 * task.loss(output, label, torch.ones(16))
    )
    zero = torch.ones(16)
    zero[3] = 0
    other = output.clone()
    other[3] = torch.randn_like(other[3])
    torch.testing.assert_close(task.loss(other, label, zero), task.loss(output, label, zero))
    assert not torch.allclose(task.loss(other, label), plain)


@every_task
def test_half_precision_outputs_are_computed_in_full(
    cls: type[Task], arguments: dict[str, Any], shapes: ImageSet
) -> None:
    task = cls(**arguments)
    model, images = model_of(task), to_tensor(shapes.images(range(16)))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images).outputs[task.name]
        loss = task.loss(output, label_of(task, shapes))
    assert loss.dtype == torch.float32 and math.isfinite(loss.item())
    exact = task.loss(model(images).outputs[task.name], label_of(task, shapes))
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


@every_task
@pytest.mark.parametrize("size", [SIZE, (48, 64)])
def test_answers_have_the_labels_shape_and_unit(
    cls: type[Task], arguments: dict[str, Any], size: tuple[int, int], shapes: ImageSet
) -> None:
    task = cls(**arguments)
    output = model_of(task)(to_tensor(shapes.images(range(16)))).outputs[task.name].detach()
    said = task.decode(output, size).numpy()
    expected = {"label": (16, 3), "mask": (16, *size), "depth": (16, *size), "keypoints": (16, 4, 3)}[task.label_key]
    assert said.shape == expected and np.isfinite(said).all()
    if task.label_key == "keypoints":
        assert (said[..., :2] > -0.5).all() and (said[..., :2] < np.array([size[1], size[0]])).all()
        assert (said[..., 2] > 0).all() and (said[..., 2] <= 1 + 1e-5).all()
    if task.label_key == "mask":
        assert said.dtype == np.uint8 and said.max() < 4
    if task.label_key == "depth":
        assert said.min() > 0
    label, confidence = task.pseudo_label(output)
    assert len(label) == len(confidence) == 16
    assert confidence.min() >= 0 and confidence.max() <= 1 + 1e-5


@every_task
def test_a_perfect_answer_scores_best(cls: type[Task], arguments: dict[str, Any], shapes: ImageSet) -> None:
    task, truth = cls(**arguments), truth_of(cls(**arguments), shapes)
    best = {"higher": 1.0, "lower": 0.0}[task.direction]
    assert task.score(perfect(task, truth), truth, SIZE) == pytest.approx(best)
    # The answers of the images that follow: right in kind, wrong for the image.
    worse = task.score(np.roll(perfect(task, truth), 1, 0), truth, SIZE)
    assert (worse < best) if task.direction == "higher" else (worse > best)
    assert 0 <= worse <= 1
    details = task.details(perfect(task, truth), truth, SIZE)
    assert all(value is None or math.isfinite(value) for value in details.values())


@every_task
def test_the_score_does_not_depend_on_order_and_halves_add_up(
    cls: type[Task], arguments: dict[str, Any], shapes: ImageSet
) -> None:
    task, truth = cls(**arguments), truth_of(cls(**arguments), shapes)
    said = np.concatenate([perfect(task, truth)[:8], np.roll(perfect(task, truth), 1, 0)[8:]])
    whole = task.tally(said, truth, SIZE)
    assert len(whole.hits) == len(whole.totals) == 16
    order = np.random.default_rng(0).permutation(16)
    assert task.score(said[order], truth[order], SIZE) == pytest.approx(whole.score())
    parts = [task.tally(said[i : i + 1], truth[i : i + 1], SIZE) for i in range(16)]
    np.testing.assert_allclose(np.concatenate([part.hits for part in parts]), whole.hits)
    np.testing.assert_allclose(np.concatenate([part.totals for part in parts]), whole.totals)
    interval = hierarchical_bootstrap(whole.counts(), draws=500)
    assert interval.low <= whole.score() <= interval.high


@every_task
def test_nothing_labelled_has_no_score(cls: type[Task], arguments: dict[str, Any], shapes: ImageSet) -> None:
    task, truth = cls(**arguments), truth_of(cls(**arguments), shapes)
    if task.label_key == "label":
        return
    nothing = np.full_like(truth, 255) if task.label_key == "mask" else np.zeros_like(truth)
    with pytest.raises(UndefinedMetricError):
        task.score(perfect(task, truth), nothing, SIZE)


@every_task
def test_a_few_steps_of_training_lower_the_loss_and_better_the_score(
    cls: type[Task], arguments: dict[str, Any], shapes: ImageSet
) -> None:
    task = cls(**arguments)
    model, images = model_of(task), to_tensor(shapes.images(range(16)))
    label, truth = label_of(task, shapes), truth_of(cls(**arguments), shapes)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(80):
        loss = task.loss(model(images).outputs[task.name], label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # The cross-entropy of heatmaps ends at the target's entropy, not at zero.
    assert losses[-1] < (losses[0] - 1 if task.label_key == "keypoints" else 0.6 * losses[0])
    trained, fresh = (
        task.score(task.decode(m.eval()(images).outputs[task.name].detach(), SIZE).numpy(), truth, SIZE)
        for m in (model, model_of(task))
    )
    assert (trained > fresh + 0.1) if task.direction == "higher" else (trained < fresh - 0.1)
