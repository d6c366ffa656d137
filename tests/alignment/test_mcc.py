from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptransfer.alignment import MCC
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


def literal(logits: list[list[float]], temperature: float) -> float:
    """Equations 2 to 6 of the paper, with loops."""
    size, classes = len(logits), len(logits[0])
    p = []
    for row in logits:
        total = sum(math.exp(z / temperature) for z in row)
        p.append([math.exp(z / temperature) / total for z in row])
    entropy = [-sum(q * math.log(q) for q in row) for row in p]
    certainty = [1 + math.exp(-h) for h in entropy]
    weight = [size * c / sum(certainty) for c in certainty]
    confusion = [
        [sum(p[i][j] * weight[i] * p[i][k] for i in range(size)) for k in range(classes)] for j in range(classes)
    ]
    normal = [[value / sum(row) for value in row] for row in confusion]
    return sum(normal[j][k] for j in range(classes) for k in range(classes) if j != k) / classes


def features(logits: torch.Tensor) -> Features:
    return Features(torch.zeros(len(logits), 3, dtype=logits.dtype), (), {"class": logits})


def mcc(logits: torch.Tensor, **kwargs: float) -> torch.Tensor:
    loss: torch.Tensor = MCC(**kwargs)(features(torch.zeros(2, logits.shape[1])), features(logits), progress=0.0)
    return loss


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 7), classes=st.integers(2, 6), seed=st.integers(0, 1000), temperature=st.floats(0.5, 5))
def test_equals_the_papers_loops(size: int, classes: int, seed: int, temperature: float) -> None:
    logits = 3 * torch.randn(size, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert float(mcc(logits, temperature=temperature)) == pytest.approx(literal(logits.tolist(), temperature))


def test_by_hand() -> None:
    # Temperature 1, one image with p = (.75, .25): C = p p^T, rows normalised give p again, off the diagonal
    # .25 in the first row and .75 in the second, mean .5; a second equal image changes nothing.
    logits = torch.log(torch.tensor([[0.75, 0.25]], dtype=torch.float64))
    assert float(mcc(logits, temperature=1.0)) == pytest.approx(0.5)
    assert float(mcc(logits.repeat(2, 1), temperature=1.0)) == pytest.approx(0.5)


def test_ends_of_the_range() -> None:
    certain = 1e4 * torch.eye(4).repeat(2, 1)
    assert float(mcc(certain)) == 0.0
    assert float(mcc(torch.zeros(6, 4))) == pytest.approx(1 - 1 / 4)


def test_empty_classes_and_huge_logits_stay_finite() -> None:
    logits = (1e6 * torch.eye(5)[[0, 0, 1]]).requires_grad_()
    loss = mcc(logits)
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_weights_take_no_gradient() -> None:
    torch.manual_seed(0)
    z = torch.randn(5, 3, dtype=torch.float64)
    p = torch.softmax(z / 2.5, 1)
    weight = 1 + torch.exp((p * p.log()).sum(1))
    weight = 5 * weight / weight.sum()

    def reference(x: torch.Tensor) -> torch.Tensor:
        q = torch.softmax(x / 2.5, 1)
        c = torch.einsum("ij,i,ik->jk", q, weight, q)
        c = c / c.sum(1, keepdim=True)
        return (1 - c.diagonal()).mean()

    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    mcc(a).backward()
    reference(b).backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_an_unbalanced_target_is_pulled_towards_equal_shares() -> None:
    """The documented caveat: with 90 % of the images in one class, less balance means a larger loss."""
    torch.manual_seed(0)
    margin = 2.0
    truth = torch.tensor([0] * 18 + [1, 2])
    unbalanced = margin * torch.eye(3)[truth] + 0.1 * torch.randn(20, 3)
    balanced = margin * torch.eye(3)[torch.arange(20) % 3] + 0.1 * torch.randn(20, 3)
    assert float(mcc(unbalanced)) > float(mcc(balanced))


def test_needs_a_classification_task_and_a_positive_temperature() -> None:
    bare = Features(torch.zeros(2, 3), (), {"depth": torch.zeros(2, 1, 4, 4)})
    with pytest.raises(ConfigError, match="classification task"):
        MCC()(bare, bare, progress=0.0)
    with pytest.raises(ConfigError, match="temperature"):
        MCC(temperature=0.0)
