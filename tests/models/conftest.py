from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch

from perceptransfer.models import ClassificationHead, Encoder, PerceptionModel
from tests.weights import randomise

# name -> options, image size, pyramid strides
ARCHITECTURES: dict[str, tuple[dict[str, object], int, list[int]]] = {
    "small_cnn": ({}, 32, [2, 4, 8]),
    "resnet18": ({}, 64, [2, 4, 8, 16, 32]),
    "mobilenetv3_small_050": ({}, 64, [2, 4, 8, 16, 32]),
    "vit_tiny_patch16_224": ({"img_size": 64, "depth": 4}, 64, [16, 16, 16, 16]),
    "convnext_atto": ({}, 64, [4, 8, 16, 32]),
}


@functools.cache
def _template(name: str) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(name, options=dict(ARCHITECTURES[name][0]))
    randomise(encoder)
    return encoder.eval()


@pytest.fixture(params=list(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_encoder() -> Callable[[str], Encoder]:
    """Fresh, randomised encoder in evaluation mode by architecture name."""
    return lambda name: copy.deepcopy(_template(name))


@pytest.fixture
def make_model(make_encoder: Callable[[str], Encoder]) -> Callable[[str], PerceptionModel]:
    def make(name: str) -> PerceptionModel:
        encoder = make_encoder(name)
        torch.manual_seed(1)
        return PerceptionModel(encoder, {"class": ClassificationHead(encoder.dim, 3)}).eval()

    return make


@pytest.fixture
def make_images() -> Callable[..., torch.Tensor]:
    def make(name: str, count: int = 3, seed: int = 0) -> torch.Tensor:
        size = ARCHITECTURES[name][1]
        return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def strides() -> dict[str, list[int]]:
    return {name: entry[2] for name, entry in ARCHITECTURES.items()}
