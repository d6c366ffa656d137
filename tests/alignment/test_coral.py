from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptransfer.alignment import CORAL
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


def coral(x: np.ndarray, y: np.ndarray) -> float:
    return float(CORAL()(Features(torch.tensor(x)), Features(torch.tensor(y)), progress=0.0))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 9), m=st.integers(2, 9), dim=st.integers(2, 5), seed=st.integers(0, 1000))
def test_equals_numpy_covariances(n: int, m: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, dim)), rng.normal(3, 2, size=(m, dim))
    expected = np.linalg.norm(np.cov(x.T) - np.cov(y.T), "fro") ** 2 / (4 * dim**2)
    assert coral(x, y) == pytest.approx(expected)


def test_by_hand() -> None:
    # variances 2 and 8, no covariance with the constant second feature: (2 - 8)^2 / (4 * 2^2)
    x = np.array([[0.0, 1.0], [2.0, 1.0]])
    y = np.array([[0.0, 5.0], [4.0, 5.0]])
    assert coral(x, y) == pytest.approx(36 / 16)


def test_means_do_not_count() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3))
    assert coral(x, x + 10) == pytest.approx(0, abs=1e-20)
    assert coral(x, 2 * x) > 0


def test_one_image_has_no_covariance() -> None:
    with pytest.raises(ConfigError, match="at least 2 images") as caught:
        coral(np.zeros((1, 3)), np.zeros((4, 3)))
    assert caught.value.key == "batch_size"
