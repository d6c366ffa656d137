"""Resizing as two matrices, against Pillow, against the training's own resizing, and against properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perceptransfer.data.images import resize
from perceptransfer.deploy.graph import Deployed, resize_matrix
from tests.bundles import make_encoder

LENGTHS = st.integers(1, 70)


@given(LENGTHS, LENGTHS)
def test_weights_are_averages(before: int, after: int) -> None:
    matrix = resize_matrix(before, after)
    assert matrix.shape == (after, before)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(after))


def test_by_hand() -> None:
    torch.testing.assert_close(resize_matrix(4, 2), torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))
    torch.testing.assert_close(
        resize_matrix(2, 4), torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], dtype=torch.float32)
    )
    torch.testing.assert_close(resize_matrix(3, 3), torch.eye(3))


@given(LENGTHS, LENGTHS)
def test_along_one_axis_as_pillow_filters_it(before: int, after: int) -> None:
    line = np.random.default_rng(before * 100 + after).random((1, before), dtype=np.float32)
    kind = Image.Resampling.BOX if after <= before else Image.Resampling.BILINEAR
    expected = np.asarray(Image.fromarray(line).resize((after, 1), kind))[0]
    np.testing.assert_allclose(resize_matrix(before, after).numpy() @ line[0], expected, atol=1e-5)


@pytest.mark.parametrize("camera", [(32, 32), (24, 40), (96, 96), (48, 20), (37, 53), (480, 640)])
def test_the_encoder_sees_what_training_showed_it(camera: tuple[int, int]) -> None:
    """Up to the rounding to whole grey levels that happens twice in training, once for each axis."""
    image = np.random.default_rng(0).integers(0, 256, (*camera, 3), dtype=np.uint8)
    graph = Deployed(make_encoder("small_cnn", {"widths": [4], "dim": 4}), (32, 32), camera)
    mine = 255 * graph.prepare(torch.from_numpy(image)[None])[0].permute(1, 2, 0)
    theirs = torch.from_numpy(resize(image, (32, 32)).astype(np.float32))
    assert (mine - theirs).abs().max() <= (0 if camera == (32, 32) else 1.01)


def test_same_size_is_division_by_255_and_nothing_else() -> None:
    graph = Deployed(make_encoder("small_cnn"), (32, 32), (32, 32))
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(graph.prepare(images), images.permute(0, 3, 1, 2) / 255)
    assert graph.rows is None and graph.columns is None
