from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptransfer.alignment import MMD
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


def naive(x: np.ndarray, y: np.ndarray, scales: list[float], unbiased: bool) -> float:
    """The definition, one pair at a time."""
    points = np.concatenate([x, y])
    n, total = len(points), 0.0
    for i in range(n):
        for j in range(n):
            total += sum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True))
    mean = total / (n * (n - 1))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        distance = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return sum(math.exp(-distance / (2 * s * mean)) for s in scales) / len(scales)

    def average(a: np.ndarray, b: np.ndarray, skip: bool) -> float:
        values = [kernel(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not (skip and i == j)]
        return sum(values) / len(values)

    return average(x, x, unbiased) + average(y, y, unbiased) - 2 * average(x, y, False)


def mmd(x: np.ndarray, y: np.ndarray, **kwargs: object) -> float:
    return float(MMD(**kwargs)(Features(torch.tensor(x)), Features(torch.tensor(y)), progress=0.0))


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 6),
    m=st.integers(2, 6),
    dim=st.integers(1, 4),
    seed=st.integers(0, 1000),
    unbiased=st.booleans(),
    scales=st.lists(st.floats(0.05, 5), min_size=1, max_size=4),
)
def test_equals_the_loops(n: int, m: int, dim: int, seed: int, unbiased: bool, scales: list[float]) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, dim)), rng.normal(1.0, 2.0, size=(m, dim))
    value = mmd(x, y, scales=scales, estimator="unbiased" if unbiased else "biased")
    assert value == pytest.approx(naive(x, y, scales, unbiased), abs=1e-10)


def test_by_hand() -> None:
    # points 0, 0 | 2, 2: squared distance 4 across and 0 within; mean over the 12 ordered pairs 8 * 4 / 12 = 8/3
    x, y = np.zeros((2, 1)), np.full((2, 1), 2.0)
    assert mmd(x, y, scales=[1.0]) == pytest.approx(2 - 2 * math.exp(-4 / (2 * 8 / 3)))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 8), seed=st.integers(0, 1000))
def test_equal_batches_are_at_distance_zero_and_others_are_not(n: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    assert mmd(x, x[::-1].copy()) == pytest.approx(0, abs=1e-12)
    assert mmd(x, x + 1.0) > 0.01


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_neither_moving_nor_scaling_both_domains_matters(shift: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(1, 1, size=(4, 3))
    assert mmd(x * scale + shift, y * scale + shift) == pytest.approx(mmd(x, y), abs=1e-9)


def test_the_bandwidth_takes_no_gradient() -> None:
    # With one kernel and the bandwidth held at m the derivative of exp(-d / 2m) is that of m constant.
    torch.manual_seed(0)
    x, y = torch.randn(4, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    points = torch.cat([x, y])
    mean = (points[:, None] - points[None]).square().sum(2).sum() / (7 * 6)

    def reference(a: torch.Tensor) -> torch.Tensor:
        def k(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
            return torch.exp(-(p[:, None] - q[None]).square().sum(2) / (2 * mean)).mean()

        return k(a, a) + k(y, y) - 2 * k(a, y)

    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    MMD(scales=[1.0])(Features(a), Features(y), progress=0.0).backward()
    reference(b).backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_far_from_the_origin_single_precision_holds() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 4)), rng.normal(1, 1, size=(6, 4))
    single = mmd((x + 300).astype(np.float32), (y + 300).astype(np.float32))
    assert single == pytest.approx(mmd(x, y), abs=1e-3)


@pytest.mark.parametrize("kwargs", [{"scales": []}, {"scales": [1.0, 0.0]}, {"estimator": "linear"}])
def test_bad_arguments(kwargs: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"align\.loss"):
        MMD(**kwargs)
