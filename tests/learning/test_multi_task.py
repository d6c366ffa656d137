"""Several tasks in one training: their weights, the encoder's gradient, the log, with every module and method."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.alignment import CORAL
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.features import IMAGE, LABEL, SOURCE, TARGET
from perceptransfer.learning import (
    AlignmentModule,
    Optim,
    Runtime,
    SelfTrainingModule,
    SupervisedModule,
    build_model,
    fit,
    initial_checkpoint,
)
from perceptransfer.learning.gradients import inner_products, shared_parameters, task_gradients
from perceptransfer.models import Encoder, set_trainable
from perceptransfer.tasks import Classification, Task
from perceptransfer.weighting import FAMO, MultiTaskLog, PCGrad, Static, Weighting, weightings


class Parity(Classification):
    """Whether the digit is odd."""

    label_key: ClassVar[str] = "odd"


class Brightness(Classification):
    """One of two levels, from a squared error."""

    label_key: ClassVar[str] = "bright"
    regression: ClassVar[bool] = True

    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        return F.mse_loss(output, F.one_hot(label, 2).float())


def three() -> list[Task]:
    return [Classification(10), Parity(2, name="odd"), Brightness(2, name="bright")]


def model(tasks: Sequence[Task], seed: int = 0) -> Any:
    encoder = Encoder(options={"widths": [4, 8], "dim": 16, "downsample": "stride"})
    # Labels of the tests' own tasks have no source file that `config_of` could name, so heads are put in by hand.
    made = build_model(initial_checkpoint(encoder, [Classification(10)]), seed=seed)
    torch.manual_seed(seed)
    made.heads = nn.ModuleDict({task.name: task.make_head(16, [4, 8]) for task in tasks})
    return made


def batch(seed: int = 0, n: int = 8) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def stream() -> dict[str, Tensor]:
        label = torch.randint(10, (n,), generator=generator)
        images = torch.rand(n, 3, 32, 32, generator=generator) * (label / 10).view(-1, 1, 1, 1)
        return {IMAGE: images, LABEL: label, "odd": label % 2, "bright": (label > 4).long()}

    return {SOURCE: stream(), TARGET: stream()}


def modules(tasks: Sequence[Task], weighting: Weighting | None, steps: int = 4) -> dict[str, SupervisedModule]:
    optim = Optim(steps)
    return {
        "supervised": SupervisedModule(model(tasks), tasks, optim, weighting=weighting),
        "alignment": AlignmentModule(model(tasks), tasks, optim, CORAL(), warmup=0, weighting=weighting),
        "self-training": SelfTrainingModule(
            model(tasks), tasks, optim, pseudo_weight=0.5, alignment=CORAL(), weighting=weighting
        ),
    }


def train(module: SupervisedModule, steps: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(0)
    fit(module, (batch(i) for i in range(steps)), stage="toy", steps=steps, runtime=Runtime("cpu"))
    return {name: tensor.clone() for name, tensor in module.model.state_dict().items()}


def gradients_after(module: SupervisedModule, streams: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    module.zero_grad()
    module.training_step(streams, 0).backward()
    module.sharing.correct()
    return {name: p.grad.clone() for name, p in module.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("regime", ["supervised", "alignment", "self-training"])
@pytest.mark.parametrize("name", weightings())
def test_every_method_trains_in_every_regime(regime: str, name: str) -> None:
    module = modules(three(), weightings()[name]())[regime]
    start = {key: value.clone() for key, value in module.model.state_dict().items()}
    end = train(module)
    moved = {key.split(".")[0] + key.split(".")[1] for key in start if not torch.equal(start[key], end[key])}
    assert {"encoderbackbone", "headsclass", "headsodd", "headsbright"} <= moved
    assert all(bool(torch.isfinite(value).all()) for value in end.values())
    report = module.sharing.report()["multi_task"]
    assert report["weighting"] == name and report["samples"] == 4
    assert set(report["conflict"]) == {"class and odd", "class and bright", "odd and bright"}


@pytest.mark.parametrize("regime", ["supervised", "alignment", "self-training"])
def test_the_log_changes_no_bit_of_the_weights(regime: str) -> None:
    ends = []
    for samples in (0, 4):
        module = modules(three(), None)[regime]
        module.sharing.log = MultiTaskLog(samples)
        ends.append(train(module))
        assert module.sharing.report()["multi_task"]["samples"] == samples
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_default_is_the_plain_sum_and_a_fixed_weight_scales_one_task() -> None:
    tasks, streams = three(), batch()
    plain = SupervisedModule(model(tasks).eval(), tasks, Optim(1)).training_step(streams, 0).item()
    one = [
        SupervisedModule(model(tasks).eval(), tasks, Optim(1), weighting=Static({task.name: 3.0}))
        .training_step(streams, 0)
        .item()
        for task in tasks
    ]
    assert sum(one) - 3 * plain == pytest.approx(2 * plain, rel=1e-5)


def test_the_encoder_gets_projected_gradients_and_the_heads_their_own() -> None:
    """Against vectors put together by hand from one backward pass a task."""
    tasks, streams = [Classification(10), Parity(2, name="odd")], batch()
    module = SupervisedModule(model(tasks).eval(), tasks, Optim(1), weighting=PCGrad())
    encoder = [name for name, _ in module.model.named_parameters() if name.startswith("encoder.")]
    # Two tasks that ask for opposite answers of equal heads: their gradients have to conflict.
    heads = module.model.heads
    heads["odd"].load_state_dict({name: value[:2] for name, value in heads["class"].state_dict().items()})
    for stream in streams.values():
        stream[LABEL] = stream["odd"]
        stream["odd"] = 1 - stream["odd"]
    each = []
    for task in tasks:
        module.zero_grad()
        module.task_losses(module.features_of(streams), streams)[task.name].backward()
        found = dict(module.model.named_parameters())
        each.append(torch.cat([found[name].grad.flatten() for name in encoder]).double())
        if task.name == "class":
            own = next(p for n, p in found.items() if n.startswith("heads.class") and p.ndim == 2).grad
    one, other = each
    inner = one @ other
    assert inner < 0, "the case must hold a conflict"
    expected = (one - inner / (other @ other) * other) + (other - inner / (one @ one) * one)
    got = gradients_after(module, streams)
    flat = torch.cat([got[name].flatten() for name in encoder]).double()
    torch.testing.assert_close(flat, expected, rtol=1e-4, atol=1e-6)
    head = next(value for name, value in got.items() if name.startswith("heads.class") and value.ndim == 2)
    torch.testing.assert_close(head, own)


def test_the_trainer_steps_along_the_projected_gradient() -> None:
    tasks, optim = three(), Optim(1, lr=0.1, name="sgd", schedule="constant")
    start = dict(model(tasks).named_parameters())
    steps = {}
    for name, weighting in (("sum", None), ("projected", PCGrad())):
        torch.manual_seed(4)
        module = SupervisedModule(model(tasks), tasks, optim, weighting=weighting)
        fit(module, (batch(i) for i in range(1)), stage="toy", steps=1, runtime=Runtime("cpu"))
        steps[name] = {key: value.detach() - start[key].detach() for key, value in module.model.named_parameters()}
    again = SupervisedModule(model(tasks), tasks, optim, weighting=PCGrad())
    again.sharing.weighting.load_state_dict({**module.sharing.weighting.state_dict(), "steps": torch.tensor(0)})
    # Nesterov's first step goes 1 + momentum times as far as the gradient.
    for name, gradient in gradients_after(again, batch(0)).items():
        torch.testing.assert_close(steps["projected"][name], -0.1 * 1.9 * gradient, rtol=1e-3, atol=1e-6)
    assert any(not torch.allclose(steps["sum"][name], steps["projected"][name]) for name in start)


def test_what_several_devices_project_is_averaged() -> None:
    tasks, streams = three(), batch()
    found = {}
    for share in (0.0, 0.5, 1.0):
        module = SupervisedModule(model(tasks).eval(), tasks, Optim(1), weighting=PCGrad())
        module.sharing.weighting.seed.fill_(3)  # type: ignore[operator, union-attr]
        module.training_step(streams, 0).backward()
        module.sharing.correct(lambda tensor, share=share: tensor * share)
        found[share] = torch.cat([p.grad.flatten() for p in module.model.encoder.parameters()])
    assert not torch.allclose(found[0.0], found[1.0])
    torch.testing.assert_close(found[0.5], (found[0.0] + found[1.0]) / 2)


def test_alignment_is_no_task_and_keeps_its_gradient() -> None:
    tasks, streams = three(), batch()
    with_alignment = AlignmentModule(model(tasks).eval(), tasks, Optim(1), CORAL(), warmup=0, weighting=PCGrad())
    without = AlignmentModule(model(tasks).eval(), tasks, Optim(1), CORAL(), warmup=0, weight=0, weighting=PCGrad())
    without.sharing.weighting.load_state_dict(with_alignment.sharing.weighting.state_dict())
    both, projected = gradients_after(with_alignment, streams), gradients_after(without, streams)
    with_alignment.zero_grad()
    features = with_alignment.features_of(streams)
    CORAL()(features[SOURCE], features[TARGET], progress=0.0).backward()
    for name, parameter in with_alignment.model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(both[name], projected[name] + parameter.grad, rtol=1e-4, atol=1e-6)


def test_cosines_by_group_against_backward_passes() -> None:
    tasks, streams = three(), batch()
    module = SupervisedModule(model(tasks).eval(), tasks, Optim(1))
    module.training_step(streams, 0)
    report = module.sharing.report()["multi_task"]
    flat: dict[str, dict[str, Tensor]] = {}
    for task in tasks:
        module.zero_grad()
        module.task_losses(module.features_of(streams), streams)[task.name].backward()
        flat[task.name] = {n: p.grad.flatten() for n, p in module.model.encoder.backbone.named_parameters()}
    for pair, found in report["conflict"].items():
        one, other = (flat[name] for name in pair.split(" and "))
        groups = {group: [n for n in one if n.startswith(group + ".")] for group in found["groups"]}
        assert sorted(n for names in groups.values() for n in names) == sorted(one)
        for names, expected in [(list(one), found), *((groups[g], found["groups"][g]) for g in groups)]:
            cosine = F.cosine_similarity(torch.cat([one[n] for n in names]), torch.cat([other[n] for n in names]), 0)
            assert expected["mean"] == pytest.approx(cosine.item(), abs=1e-4)
            assert expected["negative"] == float(cosine < 0)
    assert report["weights"] == {t.name: {"mean": 1.0, "first": 1.0, "last": 1.0} for t in tasks}


def test_a_frozen_encoder_has_no_gradients_to_compare() -> None:
    tasks = three()
    for weighting in (None, PCGrad()):
        module = SupervisedModule(model(tasks), tasks, Optim(4), weighting=weighting)
        set_trainable(module.model, "head")
        train(module)
        conflict = module.sharing.report()["multi_task"]["conflict"]["class and odd"]
        assert conflict == {"mean": None, "negative": None, "samples": 0, "groups": {}}


def test_gradients_are_read_and_not_written() -> None:
    tasks, streams = three(), batch()
    module = SupervisedModule(model(tasks), tasks, Optim(1))
    losses = module.task_losses(module.features_of(streams), streams)
    found = task_gradients(list(losses.values()), shared_parameters(module.model))
    assert all(parameter.grad is None for parameter in module.parameters())
    grams = inner_products(found)
    assert list(grams) == ["blocks.0", "blocks.1", "bottleneck"]
    whole = torch.cat([matrix for group in found.values() for matrix in group], 1)
    torch.testing.assert_close(sum(grams.values()), whole @ whole.T)


def test_the_second_look_at_a_batch_leaves_batch_norm_alone_and_sees_the_new_weights() -> None:
    tasks = three()

    class Recorder(FAMO):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def after_step(self, losses: Tensor) -> None:
            self.seen += [self.before.clone(), losses.clone()]
            super().after_step(losses)

    ends = {}
    for kind in (Static, Recorder):
        module = SupervisedModule(model(tasks), tasks, Optim(1, lr=1e-2), weighting=kind())
        ends[kind] = train(module, steps=1)
    for name, value in ends[Static].items():
        if "running" in name or "tracked" in name:
            assert torch.equal(value, ends[Recorder][name])
    weighting = module.sharing.weighting
    assert isinstance(weighting, Recorder) and bool((weighting.seen[1] != weighting.seen[0]).all())
    streams = batch(0)
    again = module.task_losses(module.train().features_of(streams), streams)
    torch.testing.assert_close(weighting.seen[1], torch.stack(list(again.values())).detach())


def test_a_task_counts_on_the_streams_that_hold_its_labels() -> None:
    tasks, streams = three(), batch()
    del streams[TARGET]["odd"]
    module = SupervisedModule(model(tasks).eval(), tasks, Optim(1))
    some = module.task_losses(module.features_of(streams), streams)
    full = module.task_losses(module.features_of(batch()), batch())
    assert some["class"].item() == full["class"].item() and 0 < some["odd"].item() < full["odd"].item()
    del streams[SOURCE]["odd"]
    with pytest.raises(DataError, match=r"'odd'(.|\n)*tasks\.odd"):
        module.training_step(streams, 0)


def test_half_precision_with_scaled_losses_is_refused() -> None:
    module = SupervisedModule(model(three()), three(), Optim(1), weighting=PCGrad())
    with pytest.raises(ConfigError, match=r"PCGrad(.|\n)*precision(.|\n)*bf16-mixed"):
        module.sharing.check_precision("16-mixed")
    SupervisedModule(model(three()), three(), Optim(1)).sharing.check_precision("16-mixed")


OWN = """
from perceptransfer.weighting import GradientWeighting


class Smallest(GradientWeighting):
    def factors(self, gram):
        return (gram.diagonal() == gram.diagonal().min()).double()
"""


def test_a_users_own_gradient_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_own_surgery.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_own_surgery", raising=False)
    import users_own_surgery  # type: ignore[import-not-found]

    tasks, streams = three(), batch()
    module = SupervisedModule(model(tasks).eval(), tasks, Optim(1), weighting=users_own_surgery.Smallest())
    got = gradients_after(module, streams)
    each = {}
    for task in tasks:
        module.zero_grad()
        module.task_losses(module.features_of(streams), streams)[task.name].backward()
        each[task.name] = {n: p.grad.clone() for n, p in module.model.encoder.named_parameters()}
    smallest = min(each.values(), key=lambda found: sum(float(g.square().sum()) for g in found.values()))
    for name, gradient in smallest.items():
        torch.testing.assert_close(got[f"encoder.{name}"], gradient, rtol=1e-4, atol=1e-6)
