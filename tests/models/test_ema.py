from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.models import EMA, Encoder, PerceptionModel


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def walk(model: nn.Module, steps: int, ema: EMA) -> list[dict[str, torch.Tensor]]:
    states = []
    generator = torch.Generator().manual_seed(3)
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        model.train()(torch.randn(5, 3, generator=generator))
        ema.update_parameters(model)
        states.append(copy.deepcopy(model.state_dict()))
    return states


@pytest.mark.parametrize("warmup", [False, True])
def test_follows_the_recursion(warmup: bool) -> None:
    model = network()
    ema = EMA(model, decay=0.6, warmup=warmup)
    states = walk(model, 12, ema)
    expected = {name: tensor.double() for name, tensor in states[0].items()}
    for n, state in enumerate(states[1:], start=1):
        decay = min(0.6, (1 + n) / (10 + n)) if warmup else 0.6
        for name in expected:
            expected[name] = decay * expected[name] + (1 - decay) * state[name].double()
    for name, tensor in ema.module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert tensor == states[-1][name] == 12
        else:
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_is_a_copy_that_nothing_trains() -> None:
    model = PerceptionModel(Encoder(), {})
    ema = EMA(model)
    ema.train()
    assert not any(p.requires_grad for p in ema.parameters())
    assert not any(module.training for module in ema.module.modules())
    assert all(p.requires_grad for p in model.parameters())
    assert not any(a is b for a, b in zip(ema.parameters(), model.parameters(), strict=True))
    statistics = ema.module.encoder.backbone.blocks[0][1].running_mean
    before = statistics.clone()
    ema(torch.rand(4, 3, 32, 32))
    assert torch.equal(statistics, before)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_bad_decay(decay: float) -> None:
    with pytest.raises(ConfigError, match="decay"):
        EMA(network(), decay)
