"""Fitting: schedules, joint and separate forwards, averages, several devices."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from perceptransfer.alignment import NoAlignment
from perceptransfer.core.features import IMAGE, LABEL, SOURCE, TARGET
from perceptransfer.learning import (
    AlignmentModule,
    Optim,
    Runtime,
    SupervisedModule,
    build_model,
    computes_bfloat16,
    initial_checkpoint,
)
from perceptransfer.models import Encoder
from perceptransfer.stages import Pretrain
from perceptransfer.tasks import Classification
from tests.tiny import tiny_data

TASKS = [Classification(10)]


def model(seed: int = 0):
    options = {"widths": [4, 8], "dim": 16, "downsample": "stride"}
    return build_model(initial_checkpoint(Encoder(options=options), TASKS), seed=seed)


def batch(n: int = 6) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: {
            IMAGE: torch.rand(n, 3, 32, 32, generator=generator),
            LABEL: torch.randint(10, (n,), generator=generator),
        }
        for name in (SOURCE, TARGET)
    }


def test_cosine_with_warmup_by_hand() -> None:
    optim = Optim(steps=10, warmup=0.2)
    assert optim.rate(0) == pytest.approx(1 / 3) and optim.rate(1) == pytest.approx(2 / 3)
    assert optim.rate(2) == 1.0 and optim.rate(6) == pytest.approx(0.5) and optim.rate(10) == pytest.approx(0.0)
    assert Optim(steps=10, schedule="constant").rate(7) == 1.0


def test_parts_of_a_training_share_one_schedule() -> None:
    whole = Optim(steps=9)
    parts = [Optim(steps=3, start=start, total=9) for start in (0, 3, 6)]
    assert [part.rate(i) for part in parts for i in range(3)] == [whole.rate(i) for i in range(9)]


def test_norms_and_biases_do_not_decay() -> None:
    made = Optim(steps=1, weight_decay=0.3).build(model().parameters())["optimizer"]
    decays = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in made.param_groups}
    assert set(decays[0.3]) <= {2, 4} and set(decays[0.0]) == {1}


def test_joint_and_separate_forwards_differ_by_batch_norm_only() -> None:
    images = {name: stream[IMAGE] for name, stream in batch().items()}
    images[TARGET] = images[TARGET] * 0.2
    both = {}
    for norm in ("joint", "per_domain"):
        net = model().train()
        both[norm] = SupervisedModule(net, TASKS, Optim(1), norm=norm).forward_streams(images)  # type: ignore[arg-type]
    assert not torch.allclose(both["joint"][SOURCE].pooled, both["per_domain"][SOURCE].pooled, atol=1e-3)
    for norm in ("joint", "per_domain"):
        net = model().eval()
        both[norm] = SupervisedModule(net, TASKS, Optim(1), norm=norm).forward_streams(images)  # type: ignore[arg-type]
    for name in images:
        assert torch.allclose(both["joint"][name].pooled, both["per_domain"][name].pooled, atol=1e-5)
        assert torch.allclose(
            both["joint"][name].outputs["class"], both["per_domain"][name].outputs["class"], atol=1e-5
        )


def test_stream_weights_scale_the_losses() -> None:
    streams = batch()
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        module = SupervisedModule(model().eval(), TASKS, Optim(1), stream_weights={TARGET: weight})
        losses[weight] = module.training_step(streams, 0).item()
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * (losses[1.0] - losses[0.0]), rel=1e-4)
    source = SupervisedModule(model().eval(), TASKS, Optim(1)).training_step({SOURCE: streams[SOURCE]}, 0).item()
    assert losses[0.0] == pytest.approx(source, rel=1e-5)


def test_alignment_without_a_loss_is_training_on_the_source() -> None:
    streams = batch()
    module, alone = AlignmentModule(model(), TASKS, Optim(1), NoAlignment()), SupervisedModule(model(), TASKS, Optim(1))
    source = alone.training_step({SOURCE: streams[SOURCE]}, 0)
    assert module.training_step(streams, 0).item() == source.item()
    for name, value in alone.model.state_dict().items():  # batch norm has seen the source alone
        assert torch.equal(value, module.model.state_dict()[name]), name


def test_loss_of_an_untrained_classifier_is_about_log_k() -> None:
    loss = SupervisedModule(model(), TASKS, Optim(1)).training_step({SOURCE: batch(64)[SOURCE]}, 0).item()
    assert abs(loss - math.log(10)) < 0.5


def test_the_average_follows_the_weights_and_is_what_is_handed_on() -> None:
    net = model()
    module = SupervisedModule(net, TASKS, Optim(1), ema_decay=0.5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    module.on_train_batch_end(None, None, 0)
    final = dict(module.final_model().named_parameters())
    assert all(torch.equal(final[name], parameter) for name, parameter in net.named_parameters()), "the first copies"
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    module.on_train_batch_end(None, None, 0)
    assert all(bool((final[name] < parameter).all()) for name, parameter in net.named_parameters())


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_not_emulated(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["perceptransfer.learning.fit"], "computes_bfloat16", lambda accelerator: native)
    initial = initial_checkpoint(Encoder(options={"widths": [4, 8], "dim": 16, "downsample": "stride"}), TASKS)
    given = {"synthetic": tiny_data().prepare(0)["synthetic"]}
    whole, half = (
        Pretrain(steps=2, batch_size=8, precision=precision).run(initial, given, seed=0, runtime=Runtime("cpu"))
        for precision in ("32-true", "bf16-mixed")
    )
    assert (whole.checkpoint.state_hash() == half.checkpoint.state_hash()) is not native


@pytest.mark.parametrize("present", [True, False])
def test_only_the_processor_is_asked_for_bfloat16(present: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for kernels in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda kernels=kernels: kernels)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
        assert computes_bfloat16("gpu") and computes_bfloat16("cpu") == kernels
        assert computes_bfloat16("auto") == (present or kernels)


@pytest.mark.slow
def test_two_devices_train_by_the_same_configuration() -> None:
    domains = tiny_data().prepare(0)
    initial = initial_checkpoint(Encoder(options={"widths": [4, 8], "dim": 16, "downsample": "stride"}), TASKS)
    given = {"synthetic": domains["synthetic"]}
    stage = Pretrain(steps=3, batch_size=8)
    start = build_model(initial, seed=0).state_dict()
    runs = [stage.run(initial, given, seed=0, runtime=Runtime("cpu", n)).checkpoint.state for n in (2, 2, 1)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    moved = [name for name in start if not torch.equal(start[name], runs[0][name])]
    assert any("blocks" in name for name in moved) and runs[0].keys() == start.keys()
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in start), "two devices see two batches a step"
