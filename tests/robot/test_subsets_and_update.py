"""What may be tuned on a robot starts at no effect, moves alone, and is moved by scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy import MLPHead
from perceptransfer.robot.subsets import GainSchedule, ResidualHead, lora_adapter
from perceptransfer.robot.update import CrossEntropy


class Fixed(nn.Module):
    """Hands its observation on as the action."""

    def forward(self, observation: Tensor) -> Tensor:
        return observation[:, :2]


def policy() -> MLPHead:
    torch.manual_seed(0)
    return MLPHead(4, 2, hidden=(8,)).eval()


@pytest.mark.parametrize(
    "tuned",
    [
        lambda base: GainSchedule(base, 2),
        lambda base: ResidualHead(base, 4, 2),
        lambda base: lora_adapter(base),
    ],
    ids=["gains", "residual", "lora"],
)
def test_at_the_start_it_changes_nothing_and_only_its_own_weights_learn(tuned) -> None:
    base, seen = policy(), torch.randn(6, 4)
    before, weights = base(seen).detach().clone(), [p.detach().clone() for p in base.parameters()]
    network = tuned(base)
    torch.testing.assert_close(network(seen), before)
    own = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert own and sum(p.numel() for p in own) < sum(p.numel() for p in weights)
    optimizer = torch.optim.SGD(own, lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (network(seen) - 1).square().mean().backward()
        optimizer.step()
    assert not torch.allclose(network(seen), before)
    stayed = {p.data_ptr() for p in network.parameters() if not p.requires_grad}
    assert len(stayed) >= len(weights) - 1


def test_gains_by_hand() -> None:
    network = GainSchedule(Fixed(), 2, knots=(0.0, 1.0, 2.0))
    with torch.no_grad():
        network.log_gain.copy_(torch.log(torch.tensor([[2.0, 4.0], [1.0, 1.0]])))
    found = network(torch.tensor([[0.0, 0.5], [1.0, -1.0], [0.5, 0.0], [2.5, 3.0]]))
    # Joint one: gain 2 at rest, 4 at 1, sqrt(8) halfway between in the logarithm, 1 from 2 on.
    expected = torch.tensor([[0.0, 0.5], [4.0, -1.0], [0.5 * 8**0.5, 0.0], [2.5, 3.0]])
    torch.testing.assert_close(found, expected)


def test_a_residual_stays_within_its_bound() -> None:
    network = ResidualHead(Fixed(), 4, 2, bound=0.3)
    with torch.no_grad():
        network.residual.weight.fill_(1e3)
    seen = torch.rand(5, 4) + 0.1
    torch.testing.assert_close(network(seen) - seen[:, :2], torch.full((5, 2), 0.3))


@pytest.mark.parametrize("knots", [(0.0,), (0.0, 0.5, 0.5)])
def test_knots_that_do_not_rise(knots: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="do not rise"):
        GainSchedule(Fixed(), 2, knots=knots)


def test_the_cross_entropy_method_climbs_and_keeps_what_it_cannot_better() -> None:
    top, rule, rng = np.array([0.8, -0.5, 0.3]), CrossEntropy(pairs=8, elites=3), np.random.default_rng(0)

    def score(weights: np.ndarray) -> float:
        return -float(((weights - top) ** 2).sum())

    weights = np.zeros(3)
    for update in range(8):
        weights = rule.propose(weights, score, rng, update)
    assert np.linalg.norm(weights - top) < 0.25
    only_the_present = CrossEntropy(pairs=4, elites=1).propose(top, score, np.random.default_rng(1), 0)
    assert np.array_equal(only_the_present, top), "the present weights are a candidate"
    with pytest.raises(ConfigError, match="do not fit"):
        CrossEntropy(pairs=1, elites=3)
