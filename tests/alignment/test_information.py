from __future__ import annotations

import math

import pytest
import torch

from perceptransfer.alignment import InformationMaximization
from perceptransfer.core.features import Features


def loss_of(logits, **arguments) -> float:
    features = Features(torch.zeros(len(logits), 3), (), {"class": torch.tensor(logits)})
    return float(InformationMaximization(**arguments)(features, features, progress=0.0))


def test_against_a_loop() -> None:
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    mean, entropy = [0.0] * 4, 0.0
    for row in logits:
        total = sum(math.exp(value) for value in row)
        p = [math.exp(value) / total for value in row]
        entropy -= sum(value * math.log(value) for value in p) / 7
        mean = [m + value / 7 for m, value in zip(mean, p, strict=True)]
    marginal = -sum(value * math.log(value) for value in mean)
    assert loss_of(logits) == pytest.approx(entropy - marginal)
    assert loss_of(logits, diversity=0.25) == pytest.approx(entropy - 0.25 * marginal)


def test_sure_and_even_is_lowest_sure_and_one_class_is_zero_undecided_is_zero() -> None:
    sure = [[40.0 * (i == j) for j in range(3)] for i in range(3)]
    assert loss_of(sure) == pytest.approx(-math.log(3))
    assert loss_of([sure[0]] * 3) == pytest.approx(0.0, abs=1e-9)
    assert loss_of([[0.0] * 3] * 3) == pytest.approx(0.0, abs=1e-6)
