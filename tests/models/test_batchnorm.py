from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from perceptransfer.core.errors import ConfigError, DivergedError
from perceptransfer.models import adapt_batchnorm, adapted_batchnorm


def two_layers() -> nn.Sequential:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.BatchNorm2d(3, momentum=0.37))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, 2.0, 0.5]))
        network[0].bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
        network[0].running_mean.copy_(torch.tensor([9.0, 9.0, 9.0]))
    return network


def by_hand(batches: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean over the batches of mean and unbiased variance, before and after the first layer."""
    weight, bias = np.array([1.0, 2.0, 0.5]), np.array([0.1, -0.2, 0.3])
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
    for batch in batches:
        x = np.moveaxis(batch, 1, -1).reshape(-1, 3)
        found[0].append((x.mean(0), x.var(0, ddof=1)))
        y = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * weight + bias
        found[1].append((y.mean(0), y.var(0, ddof=1)))
    return [(np.mean([m for m, _ in f], 0), np.mean([v for _, v in f], 0)) for f in found]


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_statistics_are_those_computed_by_hand(alpha: float) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(i, 1 + i, size=(4, 3, 5, 6)) for i in range(3)]
    network = two_layers().double().train()
    report = adapt_batchnorm(network, [torch.tensor(batch) for batch in batches], alpha=alpha)
    for layer, (mean, var), old in zip((network[0], network[2]), by_hand(batches), (9.0, 0.0), strict=True):
        np.testing.assert_allclose(layer.running_mean.numpy(), (1 - alpha) * old + alpha * mean, atol=1e-9)
        np.testing.assert_allclose(layer.running_var.numpy(), (1 - alpha) + alpha * var, atol=1e-9)
    assert (report.layers, report.batches, report.images) == (2, 3, 12)
    expected = [
        abs(mean - old) / np.sqrt(1 + 1e-5) for (mean, _), old in zip(by_hand(batches), (9.0, 0.0), strict=True)
    ]
    assert report.shift == pytest.approx(np.mean(expected))


def test_weights_modes_and_momenta_come_back(make_model, make_images) -> None:
    model = make_model("resnet18").train()
    model.encoder.backbone.layer1.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    weights = {name: parameter.clone() for name, parameter in model.named_parameters()}
    adapt_batchnorm(model, [make_images("resnet18")])
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert all(torch.equal(weights[name], parameter) for name, parameter in model.named_parameters())
    assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_adapting_to_its_own_batch_makes_evaluation_equal_training(make_model, make_images) -> None:
    model, images = make_model("small_cnn"), make_images("small_cnn", 64)
    adapt_batchnorm(model, [images])
    evaluated = model.eval()(images).pooled
    trained = model.train()(images).pooled
    torch.testing.assert_close(evaluated, trained, rtol=0.02, atol=0.02)  # n and n - 1 differ


def test_only_for_the_block(architecture, make_model, make_images) -> None:
    model = make_model(architecture)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = make_images(architecture, 4) * 0.5
    with adapted_batchnorm(model, [images, images]) as report:
        changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
        assert bool(changed) == bool(report.layers)
        assert all("running" in name or "num_batches" in name for name in changed)
        assert not any(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_frozen_models_adapt_too(make_model, make_images) -> None:
    model = make_model("small_cnn").requires_grad_(False)
    assert adapt_batchnorm(model, [make_images("small_cnn")]).layers == 4


def test_no_batchnorm_no_reading(make_encoder) -> None:
    def batches():
        raise AssertionError("read")
        yield

    report = adapt_batchnorm(make_encoder("convnext_atto"), batches())
    assert (report.layers, report.images) == (0, 0)


@pytest.mark.parametrize(
    ("batches", "error"),
    [
        ([], ConfigError),
        ([torch.rand(4, 3, 5, 5), torch.rand(1, 3, 5, 5)], ConfigError),
        ([torch.full((4, 3, 5, 5), float("nan"))], DivergedError),
    ],
)
def test_an_error_leaves_everything_as_it_was(batches, error) -> None:
    network = two_layers()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(error):
        adapt_batchnorm(network, batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network[2].momentum == 0.37
    assert network.training
    with pytest.raises(ConfigError, match=r"0\.\.1"):
        adapt_batchnorm(network, batches, alpha=1.5)
