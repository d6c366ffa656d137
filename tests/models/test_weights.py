from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.models import interpolate, l2_distance


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "layer.weight": torch.randn(3, 2, generator=generator),
        "norm.running_var": torch.rand(3, generator=generator),
        "norm.num_batches_tracked": torch.tensor(seed),
    }


@settings(deadline=None)
@given(alpha=st.floats(0, 1))
def test_interpolation(alpha: float) -> None:
    start, end = state(1), state(2)
    mixed = interpolate(start, end, alpha)
    for name in ("layer.weight", "norm.running_var"):
        expected = (1 - alpha) * start[name].numpy() + alpha * end[name].numpy()
        np.testing.assert_allclose(mixed[name].numpy(), expected, atol=1e-6)
    assert mixed["norm.num_batches_tracked"].dtype == torch.int64


def test_ends_are_exact_copies() -> None:
    start, end = state(1), state(2)
    for alpha, whole in ((0.0, start), (1.0, end)):
        mixed = interpolate(start, end, alpha)
        assert all(torch.equal(mixed[name], tensor) for name, tensor in whole.items())
        assert not any(mixed[name] is tensor for name, tensor in whole.items())


def test_distance_by_hand() -> None:
    a = {"w": torch.zeros(2), "norm.running_mean": torch.zeros(1), "norm.num_batches_tracked": torch.tensor(0)}
    b = {"w": torch.tensor([3.0, 4.0]), "norm.running_mean": torch.ones(1), "norm.num_batches_tracked": torch.tensor(9)}
    assert l2_distance(a, b) == 5.0
    assert l2_distance(a, a) == 0.0


@pytest.mark.parametrize("other", [{"v": torch.zeros(2)}, {"w": torch.zeros(3)}, {}])
def test_other_architectures_are_refused(other: dict[str, torch.Tensor]) -> None:
    for combine in (lambda a, b: interpolate(a, b, 0.5), l2_distance):
        with pytest.raises(ConfigError, match="different weights"):
            combine({"w": torch.zeros(2)}, other)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_weights_outside_the_segment_are_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.1"):
        interpolate(state(1), state(2), alpha)
