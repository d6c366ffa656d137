"""Losses on places and on outputs: against formulas written differently, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from perceptransfer.alignment import ADVENT, CORAL, DANN, MMD, EntropyMinimization, Shapes, Sum
from perceptransfer.alignment.advent import self_information
from perceptransfer.alignment.beliefs import beliefs
from perceptransfer.alignment.places import points
from perceptransfer.core.config import fingerprint, identity_of
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features

SHAPES = Shapes(
    5, 3, (2, 4), {"c": "label", "m": "mask", "d": "depth", "k": "keypoints"}, {"c": 3, "m": 2, "d": 1, "k": 2}
)


def features(seed: int, n: int = 3) -> Features:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(n, *shape, generator=g, dtype=torch.float64)

    outputs = {"c": draw(3), "m": draw(2, 4, 3), "d": draw(1, 4, 3), "k": draw(2, 4, 3)}
    return Features(draw(5), (draw(2, 9, 6), draw(4, 2, 1)), outputs)


def ready(loss):
    loss.prepare(SHAPES)
    return loss.double()


def test_places_stand_on_an_even_grid() -> None:
    maps = torch.arange(9 * 6, dtype=torch.float32).view(1, 1, 9, 6)
    rows, columns = [1, 3, 5, 7], [0, 2, 3, 5]  # (i + .5) · 9/4 and (i + .5) · 6/4, rounded down
    expected = [float(6 * row + column) for row in rows for column in columns]
    assert points(Features(torch.zeros(1, 1), (maps,)), 0).flatten().tolist() == expected
    small = torch.randn(2, 3, 2, 1)
    found = points(Features(torch.zeros(2, 1), (maps, small)), -1)
    assert torch.equal(found, torch.stack([small[i, :, r, 0] for i in range(2) for r in range(2)]))


@pytest.mark.parametrize("cls", [CORAL, MMD])
@pytest.mark.parametrize("level", [0, 1, -1])
def test_a_level_is_the_loss_of_its_places(cls, level: int) -> None:
    one, other = features(0), features(1, 4)
    expected = ready(cls())(Features(points(one, level)), Features(points(other, level)), progress=0.5)
    assert torch.equal(ready(cls(level=level))(one, other, progress=0.5), expected)


def test_places_are_judged_one_by_one() -> None:
    torch.manual_seed(0)
    loss = ready(DANN(hidden=4, level=0, normalization="none"))
    assert loss.discriminator.dim == 2
    one, other = features(0), features(1)
    logits = [loss.discriminator.layers(points(f, 0)).detach().numpy() for f in (one, other)]
    expected = (np.log1p(np.exp(-logits[0])).mean() + np.log1p(np.exp(logits[1])).mean()) / 2
    assert loss(one, other, progress=1.0).item() == pytest.approx(expected)


def test_pooled_losses_are_stored_as_before_they_had_a_level() -> None:
    for cls in (CORAL, DANN, MMD):
        assert "level" not in identity_of(cls())["init_args"]
        assert fingerprint(cls()) != fingerprint(cls(level=0))


@pytest.mark.parametrize("cls", [CORAL, DANN, MMD])
def test_a_level_that_is_not_there_is_named(cls) -> None:
    with pytest.raises(ConfigError, match=r"level 2 in a pyramid of 2"):
        ready(cls(level=2))(features(0), features(1), progress=0.0)


def entropy_by_hand(p: np.ndarray, axis: int) -> np.ndarray:
    return -(p * np.log(p)).sum(axis) / math.log(p.shape[axis])


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    exp = np.exp(values - values.max(axis, keepdims=True))
    return exp / exp.sum(axis, keepdims=True)


def test_entropy_of_every_kind_against_numpy() -> None:
    target = features(3)
    out = {name: value.numpy() for name, value in target.outputs.items()}
    expected = {
        "label": entropy_by_hand(softmax(out["c"], 1), 1).mean(),
        "mask": entropy_by_hand(softmax(out["m"], 1), 1).mean(),
        "keypoints": entropy_by_hand(softmax(out["k"].reshape(3, 2, 12), 2), 2).mean(),
    }
    for kind, value in expected.items():
        assert float(ready(EntropyMinimization([kind]))(features(0), target, progress=0.0)) == pytest.approx(value)
    loss = ready(EntropyMinimization())
    assert float(loss(features(0), target, progress=0.0)) == pytest.approx(sum(expected.values()))
    assert loss.logs == pytest.approx({f"entropy_{n}": expected[k] for n, k in zip("cmk", expected, strict=True)})


def test_entropy_is_one_for_even_and_zero_for_sure_outputs() -> None:
    even = features(0)._replace(outputs={k: torch.zeros_like(v) for k, v in features(0).outputs.items()})
    assert float(ready(EntropyMinimization())(even, even, progress=0.0)) == pytest.approx(3.0)
    sure = {k: torch.zeros_like(v) for k, v in even.outputs.items()}
    sure["c"][:, 0], sure["m"][:, 0], sure["k"][:, :, 0, 0] = 1e3, 1e3, 1e3
    assert float(ready(EntropyMinimization())(even, even._replace(outputs=sure), progress=0.0)) == 0.0


def test_the_discriminator_sees_self_information_and_its_gradient_reaches_the_target_alone() -> None:
    torch.manual_seed(0)
    loss = ready(ADVENT(hidden=4, ramp=0.0, max_lambda=0.5, kinds=["mask", "label"]))
    one, other = features(0), features(1)
    for f in (one, other):
        for output in f.outputs.values():
            output.requires_grad_()
    value = loss(one, other, progress=0.0)
    value.backward()
    assert all(output.grad is None for output in one.outputs.values())
    assert other.outputs["d"].grad is None and other.outputs["k"].grad is None
    expected = 0.0
    for name, layers in zip(("c", "m"), loss.discriminators, strict=True):
        maps = []
        for f in (one, other):
            p = torch.from_numpy(softmax(f.outputs[name].detach().numpy(), 1))
            maps.append((-(p * p.log())).reshape(3, p.shape[1], *(p.shape[2:] or (1, 1))).requires_grad_())
        of_source, of_target = (layers(m) for m in maps)
        term = -(torch.sigmoid(of_source).log().mean() + torch.sigmoid(-of_target).log().mean()) / 2
        expected += term.item()
        if name == "m":  # reversed and scaled by one half
            (through,) = torch.autograd.grad(term, maps[1])
            leaf = other.outputs["m"].detach().clone().requires_grad_()
            log_p = leaf.log_softmax(1)
            (-(log_p.exp() * log_p)).backward(-0.5 * through)
            torch.testing.assert_close(other.outputs["m"].grad, leaf.grad)
    assert value.item() == pytest.approx(expected)


def test_a_heatmap_is_taken_relative_to_its_peak() -> None:
    shifted = features(0)
    (belief,) = beliefs(shifted, SHAPES, ["k"])
    maps = self_information(belief, shifted.outputs["k"].shape[2:])
    assert maps.shape == (3, 2, 4, 3) and torch.equal(maps.amax((2, 3)), torch.ones(3, 2, dtype=torch.float64))
    raised = shifted.outputs["k"].exp() / shifted.outputs["k"].exp().amax((2, 3), keepdim=True)
    torch.testing.assert_close(maps, raised)


def test_outputs_to_act_on_must_be_there() -> None:
    depth = Shapes(5, 1, (2,), {"d": "depth"}, {"d": 1})
    for cls in (ADVENT, EntropyMinimization):
        for on, shapes in ((None, depth), (["depth"], SHAPES), (["mask"], depth), (["mask", "colour"], SHAPES)):
            with pytest.raises(ConfigError, match=r"align\.loss\.kinds"):
                cls(kinds=on).prepare(shapes)
    with pytest.raises(ConfigError, match="prepare"):
        ADVENT()(features(0), features(1), progress=0.0)
    with pytest.raises(ConfigError, match="'m'"):
        ready(EntropyMinimization(["mask"]))(features(0), Features(torch.zeros(3, 5)), progress=0.0)


def test_a_sum_is_the_weighted_sum_and_keeps_the_logs_apart() -> None:
    one, other = features(0), features(1)
    parts = [MMD(), EntropyMinimization(["mask"]), EntropyMinimization(["label"])]
    values = [float(ready(part)(one, other, progress=0.5)) for part in parts]
    loss = ready(Sum(parts, [2.0, 0.5, 0.0]))
    assert float(loss(one, other, progress=0.5)) == pytest.approx(2 * values[0] + 0.5 * values[1])
    assert loss.logs == pytest.approx(
        {
            "0_MMD": values[0],
            "1_EntropyMinimization": values[1],
            "1_EntropyMinimization_entropy_m": values[1],
            "2_EntropyMinimization": values[2],
            "2_EntropyMinimization_entropy_c": values[2],
        }
    )
    assert float(ready(Sum(parts))(one, other, progress=0.5)) == pytest.approx(sum(values))
    for losses, weights in (([], None), (parts, [1.0])):
        with pytest.raises(ConfigError, match="weights"):
            Sum(losses, weights)
