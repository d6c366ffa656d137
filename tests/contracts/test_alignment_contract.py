"""What every alignment loss keeps, checked on all that the package has because they exist."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from perceptransfer.alignment import DANN, MCC, AlignmentLoss, EntropyMinimization, Shapes, losses
from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import PerceptransferError
from perceptransfer.core.features import Features

DIM, CLASSES = 12, 5
SHAPES = Shapes(
    DIM,
    CLASSES,
    (4, 6),
    {"class": "label", "parts": "mask", "range": "depth", "tips": "keypoints"},
    {"class": CLASSES, "parts": 3, "range": 1, "tips": 2},
)
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "ADVENT": [{"kinds": ["label"]}, {"kinds": ["mask"], "ramp": 0.0}, {"kinds": ["keypoints"]}],
    "CORAL": [{"level": 0}, {"level": -1}],
    "DANN": [{"normalization": "joint"}, {"normalization": "none", "ramp": 0.0}, {"level": 1}],
    "EntropyMinimization": [{"kinds": ["label"]}, {"kinds": ["mask"]}, {"kinds": ["keypoints"]}],
    "MCC": [{"temperature": 1.0}],
    "MMD": [{"estimator": "unbiased"}, {"scales": [1.0]}, {"level": 0}],
}
NEEDED: dict[str, list[dict[str, Any]]] = {
    "Sum": [{"losses": [MCC(), DANN(level=0), EntropyMinimization(["mask"])], "weights": [1.0, 0.1, 0.3]}],
}
CASES = [(cls, kwargs) for name, cls in losses().items() for kwargs in NEEDED.get(name, [{}, *VARIANTS.get(name, [])])]
IDS = [
    "-".join([cls.__name__, *(str(value) for key, value in kwargs.items() if key != "losses")]) for cls, kwargs in CASES
]
every_loss = pytest.mark.parametrize(("cls", "kwargs"), CASES, ids=IDS)


class Toy(nn.Module):
    """Linear encoder and heads of every kind, so that gradients can be followed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder, self.head = nn.Linear(7, DIM), nn.Linear(DIM, CLASSES)
        self.maps, self.dense = nn.Linear(DIM, 4 * 6 * 6 + 6 * 3 * 3), nn.Linear(DIM, 6 * 4 * 4)

    def forward(self, x: Tensor) -> Features:
        pooled = torch.tanh(self.encoder(x))
        fine, coarse = self.maps(pooled).split([4 * 36, 6 * 9], 1)
        pyramid = (fine.view(-1, 4, 6, 6), coarse.view(-1, 6, 3, 3))
        parts, depth, tips = self.dense(pooled).view(-1, 6, 4, 4).split([3, 1, 2], 1)
        return Features(pooled, pyramid, {"class": self.head(pooled), "parts": parts, "range": depth, "tips": tips})


def spread(leaf: Tensor) -> Features:
    """Features of every kind that are nothing but the values of ``leaf`` ``[B, DIM]``."""
    four = leaf.view(-1, 3, 2, 2)
    outputs = {"class": leaf[:, :CLASSES], "parts": four, "range": four[:, :1], "tips": four[:, :2]}
    pyramid = (leaf[:, None, None, :].expand(-1, 4, 2, -1), leaf.view(-1, 6, 2, 1))
    return Features(leaf, pyramid, outputs)


def cast(features: Features, dtype: torch.dtype) -> Features:
    outputs = {name: output.to(dtype) for name, output in features.outputs.items()}
    return Features(features.pooled.to(dtype), tuple(level.to(dtype) for level in features.pyramid), outputs)


def make(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> AlignmentLoss:
    torch.manual_seed(1)
    loss: AlignmentLoss = instantiate(config_of(cls(**kwargs)))  # a Sum would share what the table holds
    loss.prepare(SHAPES)
    return loss


def inputs(n: int = 9, m: int = 6, seed: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(n, 7, generator=generator, dtype=torch.float64)
    target = torch.randn(m, 7, generator=generator, dtype=torch.float64) * 1.5 + 0.7
    return source.to(dtype), target.to(dtype)


def test_the_package_lists_its_methods() -> None:
    assert set(losses()) == {
        *("ADVENT", "CORAL", "DANN", "EntropyMinimization", "InformationMaximization"),
        *("MCC", "MMD", "NoAlignment", "Sum"),
    }
    assert AlignmentLoss.__name__ not in losses()


@every_loss
def test_scalar_finite_and_trains_the_encoder(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    model, loss = Toy(), make(cls, kwargs)
    source, target = inputs()
    value = loss(model(source), model(target), progress=0.5)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert math.isfinite(value.item())
    assert all(isinstance(number, float) and math.isfinite(number) for number in loss.logs.values())
    if cls.__name__ == "NoAlignment":
        assert value.item() == 0.0
        return
    value.backward()
    gradient = model.encoder.weight.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in loss.parameters())


@every_loss
def test_order_inside_a_batch_does_not_matter(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    model, loss = Toy().double(), make(cls, kwargs).double()
    source, target = inputs(dtype=torch.float64)
    value = loss(model(source), model(target), progress=0.5)
    shuffled = loss(model(source[torch.randperm(9)]), model(target.flip(0)), progress=0.5)
    assert value.dtype == torch.float64
    torch.testing.assert_close(shuffled, value)


@every_loss
def test_agrees_with_itself_in_double_precision(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    model, loss = Toy(), make(cls, kwargs)
    source, target = inputs()
    single = loss(model(source), model(target), progress=0.5)
    model, loss = model.double(), loss.double()
    double = loss(model(source.double()), model(target.double()), progress=0.5)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


@every_loss
def test_computes_in_full_precision_under_autocast(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    model, loss = Toy(), make(cls, kwargs)
    features = [model(x) for x in inputs()]
    half = [cast(f, torch.bfloat16) for f in features]
    lifted = [cast(f, torch.float32) for f in half]
    expected = loss(*lifted, progress=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*half, progress=0.5)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


@every_loss
def test_building_again_changes_nothing(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    loss = make(cls, kwargs)
    before = copy.deepcopy(loss.state_dict())
    parameters = list(loss.parameters())
    loss.prepare(SHAPES)
    assert all(a is b for a, b in zip(parameters, loss.parameters(), strict=True))
    assert before.keys() == loss.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in loss.state_dict().items())


@every_loss
def test_configuration_round_trip(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    loss = make(cls, kwargs)
    again = instantiate(config_of(loss))
    assert type(again) is cls
    assert config_of(again) == config_of(loss)
    assert fingerprint(again) == fingerprint(loss)
    torch.manual_seed(1)
    again.prepare(SHAPES)
    model = Toy()
    source, target = inputs()
    assert torch.equal(
        again(model(source), model(target), progress=0.3), make(cls, kwargs)(model(source), model(target), progress=0.3)
    )


@every_loss
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 8), (8, 1), (2, 2)])
@pytest.mark.parametrize("constant", [False, True], ids=["random", "constant"])
def test_tiny_and_constant_batches(
    cls: type[AlignmentLoss], kwargs: dict[str, Any], n: int, m: int, constant: bool
) -> None:
    model, loss = Toy(), make(cls, kwargs)
    source, target = (torch.full_like(x, 0.3) if constant else x for x in inputs(n, m))
    refusal = None
    try:
        value = loss(model(source), model(target), progress=1.0)
    except PerceptransferError as error:
        refusal = error
    if refusal is not None:
        assert min(n, m) == 1  # two images are enough for every method
        assert refusal.remedy
        return
    assert math.isfinite(value.item())
    if value.requires_grad:
        value.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@every_loss
@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-6, 1e4), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 99))
def test_finite_whatever_the_features_scale(
    cls: type[AlignmentLoss], kwargs: dict[str, Any], scale: float, shift: float, seed: int
) -> None:
    loss = make(cls, kwargs)
    leaves = [(torch.randn(5, DIM, generator=torch.Generator().manual_seed(seed + i)) * scale + shift) for i in (0, 1)]
    for leaf in leaves:
        leaf.requires_grad_()
    value = loss(*map(spread, leaves), progress=1.0)
    assert math.isfinite(value.item())
    if value.requires_grad:
        value.backward()
        assert all(leaf.grad is None or torch.isfinite(leaf.grad).all() for leaf in leaves)


@every_loss
@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((0, 3), (4, 3)), ((4, 3, 2), (4, 3, 2))])
def test_features_that_do_not_fit_are_refused(
    cls: type[AlignmentLoss], kwargs: dict[str, Any], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    loss = make(cls, kwargs)
    with pytest.raises(PerceptransferError):
        loss(*(Features(torch.zeros(shape)) for shape in shapes), progress=0.0)


@every_loss
def test_survives_a_copy_after_use(cls: type[AlignmentLoss], kwargs: dict[str, Any]) -> None:
    model, loss = Toy(), make(cls, kwargs)
    source, target = inputs()
    value = loss(model(source), model(target), progress=0.5)
    copied = copy.deepcopy(loss)
    assert copied.logs == loss.logs
    assert torch.equal(copied(model(source), model(target), progress=0.5), value)
