from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from perceptransfer.alignment import DANN
from perceptransfer.alignment.reversal import reverse_gradient
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features

NORMALIZATIONS = ["domain", "joint", "none"]


def built(**kwargs: object) -> DANN:
    torch.manual_seed(0)
    loss = DANN(hidden=6, **kwargs)
    loss.build(4, 3)
    return loss.double()


def points(seed: int, n: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def numeric_gradient(function: object, at: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    gradient = torch.zeros_like(at)
    for index in range(at.numel()):
        ends = []
        for sign in (1, -1):
            moved = at.clone()
            moved.view(-1)[index] += sign * step
            ends.append(float(function(moved)))  # type: ignore[operator] - a plain function
        gradient.view(-1)[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_reversal_is_identity_forwards_and_minus_lambda_backwards() -> None:
    x = points(0, 3).requires_grad_()
    y = reverse_gradient(x, 0.3)
    assert torch.equal(y, x)
    y.backward(torch.full_like(y, 2.0))
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, -0.6))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_is_reversed_at_the_features_and_not_in_the_discriminator(normalization: str) -> None:
    loss = built(normalization=normalization)
    source, target = points(1, 5).requires_grad_(), points(2, 4)
    loss(Features(source), Features(target), progress=0.4).backward()
    rising = numeric_gradient(
        lambda x: loss(Features(x), Features(target), progress=0.4).detach(), source.detach().clone()
    )
    scale = 2 / (1 + math.exp(-10 * 0.4)) - 1
    torch.testing.assert_close(source.grad, -scale * rising, rtol=1e-4, atol=1e-8)

    assert loss.discriminator is not None
    weight = loss.discriminator.layers[-1].weight

    def with_weight(value: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            kept = weight.clone()
            weight.copy_(value)
            result: torch.Tensor = loss(Features(source), Features(target), progress=0.4)
            weight.copy_(kept)
        return result

    torch.testing.assert_close(
        weight.grad, numeric_gradient(with_weight, weight.detach().clone()), rtol=1e-4, atol=1e-8
    )


def test_ramp() -> None:
    loss = DANN(max_lambda=2.0)
    assert loss.scale(0.0) == 0.0
    assert loss.scale(0.1) == pytest.approx(2 * (2 / (1 + math.exp(-1)) - 1))
    assert loss.scale(1.0) == pytest.approx(2.0, rel=1e-3)
    assert DANN(max_lambda=0.5, ramp=0.0).scale(0.0) == 0.5


def test_value_is_the_mean_of_both_domains_cross_entropies() -> None:
    loss = built(normalization="none")
    source, target = points(1, 5), points(2, 3)
    assert loss.discriminator is not None
    of_source, of_target = (loss.discriminator.layers(x).squeeze(1) for x in (source, target))
    expected = (
        functional.binary_cross_entropy_with_logits(of_source, torch.ones_like(of_source))
        + functional.binary_cross_entropy_with_logits(of_target, torch.zeros_like(of_target))
    ) / 2
    torch.testing.assert_close(loss(Features(source), Features(target), progress=0.0), expected)
    right = ((of_source > 0).double().mean() + (of_target <= 0).double().mean()) / 2
    assert loss.logs == {"discriminator_accuracy": pytest.approx(float(right))}


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_no_discriminator_tells_equal_domains_apart(normalization: str) -> None:
    x = Features(points(3, 7))
    for seed in range(5):
        torch.manual_seed(seed)
        loss = DANN(hidden=6, normalization=normalization)  # type: ignore[arg-type] - parametrised
        loss.build(4, 3)
        assert loss.double()(x, x, progress=0.0).item() >= math.log(2) - 1e-12


def test_what_the_discriminators_normalization_averages_over() -> None:
    """Per-domain statistics hide a shift that joint ones show: with them alone the two domains look the same."""
    source = points(4, 8)
    pair = Features(source), Features(source + 5.0)
    apart = built(normalization="joint")(*pair, progress=0.0)
    hidden = built(normalization="domain")(*pair, progress=0.0)
    same = built(normalization="domain")(pair[0], pair[0], progress=0.0)
    torch.testing.assert_close(hidden, same)
    assert not torch.isclose(apart, same)


def test_one_optimiser_trains_both_sides() -> None:
    """A shift that the encoder can take back is taken back, and the discriminator ends confused."""
    torch.manual_seed(0)
    loss = DANN(hidden=16, normalization="none", ramp=0.0)
    loss.build(2, 2)
    shift = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([{"params": loss.parameters(), "lr": 3e-3}, {"params": [shift], "lr": 3e-2}])
    accuracies = []
    for _ in range(400):
        source, target = torch.randn(64, 2), torch.randn(64, 2) + torch.tensor([2.0, -2.0])
        optimizer.zero_grad()
        loss(Features(source), Features(target + shift), progress=0.0).backward()
        optimizer.step()
        accuracies.append(loss.logs["discriminator_accuracy"])
    assert max(accuracies[:100]) > 0.85
    assert sum(accuracies[-50:]) / 50 < 0.65
    assert float((shift.detach() - torch.tensor([-2.0, 2.0])).norm()) < 1.0


def test_building_for_another_size_makes_a_new_discriminator() -> None:
    loss = built()
    loss.build(9, 3)
    assert loss.discriminator is not None
    assert loss.discriminator.layers[0].in_features == 9


def test_errors() -> None:
    x = Features(torch.zeros(2, 4))
    with pytest.raises(ConfigError, match="build"):
        DANN()(x, x, progress=0.0)
    with pytest.raises(ConfigError, match="at least 2 images"):
        built()(Features(points(0, 1)), Features(points(1, 4)), progress=0.0)
    with pytest.raises(ConfigError, match="normalization"):
        built(normalization="batch")
