"""Only the images that the encoder was made for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ObservationError
from perceptransfer.policy import ImageSpec, load_encoder
from tests.bundles import shared_bundle

SPEC = ImageSpec(24, 40, (32, 32), (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 24, 40, 3), "wrong type"),
        (torch.zeros(2, 24, 40, 3, dtype=torch.int64), "wrong type"),
        (np.zeros((2, 24, 40, 3)), "wrong type"),
        (np.zeros((2, 24, 40, 3), dtype=np.int8), "wrong type"),
        (torch.zeros(2, 3, 24, 40, dtype=torch.uint8), "channels stand first"),
        (np.zeros((2, 3, 24, 40), dtype=np.uint8), "channels stand first"),
        (torch.zeros(2, 24, 40, 4, dtype=torch.uint8), "number of channels"),
        (torch.zeros(2, 24, 40, 1, dtype=torch.uint8), "number of channels"),
        (torch.zeros(2, 24, 40, dtype=torch.uint8), "number of axes|number of channels"),
        (torch.zeros(24, 40, 3, dtype=torch.uint8), "number of axes"),
        (torch.zeros(1, 2, 24, 40, 3, dtype=torch.uint8), "number of axes"),
        (torch.zeros(2, 40, 24, 3, dtype=torch.uint8), "wrong size"),
        (torch.zeros(2, 48, 80, 3, dtype=torch.uint8), "wrong size"),
        (torch.zeros(0, 24, 40, 3, dtype=torch.uint8), "no image"),
        ([[0]], "got list"),
        (None, "got NoneType"),
    ],
    ids=lambda value: str(getattr(value, "shape", value))[:30],
)
def test_refused(images: object, message: str) -> None:
    with pytest.raises(ObservationError, match=message) as caught:
        SPEC.check(images)
    assert caught.value.remedy
    assert "uint8 [B, 24, 40, 3]" in str(caught.value)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_encoder_refuses_before_it_computes(backend: str) -> None:
    encoder = load_encoder(shared_bundle("resnet"), backend)
    for images in (torch.zeros(1, 3, 24, 40, dtype=torch.uint8), np.zeros((1, 24, 40, 3)), torch.zeros(1, 24, 40, 3)):
        with pytest.raises(ObservationError):
            encoder(images)


@given(st.lists(st.integers(0, 41), min_size=0, max_size=5), st.sampled_from(["uint8", "float32", "int32"]))
def test_exactly_one_shape_and_type_pass(shape: list[int], dtype: str) -> None:
    good = len(shape) == 4 and shape[0] > 0 and shape[1:] == [24, 40, 3] and dtype == "uint8"
    images = np.zeros(shape, dtype=dtype)
    if good:
        SPEC.check(images)
    else:
        with pytest.raises(ObservationError):
            SPEC.check(images)


def test_a_single_image_gets_a_batch_axis() -> None:
    assert SPEC(torch.zeros(24, 40, 3, dtype=torch.uint8)).shape == (1, 24, 40, 3)
    assert SPEC(np.zeros((5, 24, 40, 3), dtype=np.uint8)).shape == (5, 24, 40, 3)
    with pytest.raises(ObservationError):
        SPEC(torch.zeros(3, 24, 40, dtype=torch.uint8))
