"""Each method against an independent reference: a closed form, numbers by hand, NumPy, or another implementation."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.weighting import DWA, FAMO, PCGrad, Static, Uncertainty
from perceptransfer.weighting.pcgrad import projected


def losses(*values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in zip("abc", values, strict=False)}


def weights_of(weighting, given: dict[str, Tensor], progress: float = 0.0) -> list[float]:
    """Derivative of the scalar by each loss."""
    total = weighting(given, progress=progress)
    return [float(gradient) for gradient in torch.autograd.grad(total, list(given.values()))]


class TestStatic:
    def test_by_hand(self) -> None:
        weighting = Static({"b": 3.0})
        weighting.build(["a", "b"])
        assert weighting(losses(2.0, 5.0), progress=0.0).item() == 17.0
        assert weights_of(weighting, losses(2.0, 5.0)) == [1.0, 3.0]

    @pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
    def test_a_weight_that_is_no_positive_number_is_refused(self, weight: float) -> None:
        with pytest.raises(ConfigError, match=r"weighting\.weights\.mask"):
            Static({"mask": weight})

    def test_a_weight_for_no_task_is_refused_with_the_names_that_exist(self) -> None:
        with pytest.raises(ConfigError, match=r"weighting\.weights(.|\n)*the tasks are class, depth"):
            Static({"mask": 1.0}).build(["class", "depth"])


class TestUncertainty:
    def test_closed_form(self) -> None:
        weighting = Uncertainty()
        weighting.build(["a", "b"], regression=["b"])
        with torch.no_grad():
            weighting.log_variance.copy_(torch.tensor([0.4, -1.0]))
        expected = math.exp(-0.4) * 2 + 0.2 + 0.5 * math.exp(1.0) * 5 - 0.5
        assert weighting(losses(2.0, 5.0), progress=0.0).item() == pytest.approx(expected, rel=1e-6)
        assert weights_of(weighting, losses(2.0, 5.0)) == pytest.approx([math.exp(-0.4), 0.5 * math.exp(1.0)])

    def test_regression_is_the_likelihood_of_a_gaussian(self) -> None:
        weighting = Uncertainty()
        weighting.build(["a"], regression=["a"])
        with torch.no_grad():
            weighting.log_variance.fill_(math.log(0.7**2))
        error = 1.3
        density = torch.distributions.Normal(0.0, 0.7).log_prob(torch.tensor(error))
        expected = -float(density) - 0.5 * math.log(2 * math.pi)
        assert weighting(losses(error**2), progress=0.0).item() == pytest.approx(expected, rel=1e-5)

    def test_still_losses_end_with_one_over_two_l(self) -> None:
        weighting = Uncertainty()
        weighting.build(["a", "b"], regression=["b"])
        optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
        for _ in range(800):
            optimizer.zero_grad()
            weighting(losses(0.2, 8.0), progress=0.0).backward()
            optimizer.step()
        assert weights_of(weighting, losses(0.2, 8.0)) == pytest.approx([1 / 0.4, 1 / 16], rel=1e-3)


class TestDWA:
    def test_the_papers_formula_by_hand(self) -> None:
        weighting = DWA(temperature=2.0, periods=4)
        weighting.build(["a", "b"])
        # Two steps a period; means of the periods: a 4, 2, 1.9 and b 10, 9, 9.
        run = [(5.0, 10.0), (3.0, 10.0), (2.0, 8.0), (2.0, 10.0), (1.8, 9.0), (2.0, 9.0), (1.0, 1.0), (1.0, 1.0)]
        seen = [weights_of(weighting, losses(*pair), step / 8) for step, pair in enumerate(run)]
        assert seen[:4] == [[1.0, 1.0]] * 4
        for step, (one, other) in ((4, (2 / 4, 9 / 10)), (6, (1.9 / 2, 9 / 9))):
            up = [math.exp(one / 2), math.exp(other / 2)]
            expected = [2 * up[0] / sum(up), 2 * up[1] / sum(up)]
            assert seen[step] == pytest.approx(expected, rel=1e-5) and seen[step + 1] == seen[step]

    def test_more_weight_for_the_task_that_stands_still_and_all_sum_to_their_number(self) -> None:
        weighting = DWA(periods=3)
        weighting.build(["a", "b", "c"])
        for step in range(2):
            weights_of(weighting, losses(1.0 / (step + 1), 1.0, 1.0 + step), step / 3)
        found = weights_of(weighting, losses(1.0, 1.0, 1.0), 0.9)
        assert found == sorted(found) and found[0] < 1 < found[2] and sum(found) == pytest.approx(3, rel=1e-6)

    @pytest.mark.parametrize("key", ["temperature", "periods"])
    def test_numbers_out_of_range_name_their_key(self, key: str) -> None:
        with pytest.raises(ConfigError, match=rf"weighting\.{key}"):
            DWA(**{key: 0})


class TestFAMO:
    def test_the_weights_sum_to_one_and_go_with_shares_over_losses(self) -> None:
        weighting = FAMO()
        weighting.build(["a", "b"])
        weighting.logits.copy_(torch.tensor([1.0, 0.0]))
        share = 1 / (1 + math.exp(-1.0))
        raw = [share / 2.0, (1 - share) / 5.0]
        assert weights_of(weighting, losses(2.0, 5.0)) == pytest.approx([x / sum(raw) for x in raw], rel=1e-6)

    def test_a_plain_run_of_the_algorithm(self) -> None:
        """Algorithm 1 of the paper in NumPy and torch's own Adam, on two quadratics of very different size."""
        centres, sizes = np.array([[1.0, 0.0], [-1.0, 2.0]]), np.array([1.0, 100.0])

        def values(place: np.ndarray) -> np.ndarray:
            return sizes * ((place - centres) ** 2).sum(1) + 0.1

        def gradients(place: np.ndarray) -> np.ndarray:
            return 2 * sizes[:, None] * (place - centres)

        logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([logits], lr=0.025, weight_decay=0.001)
        place, rate = np.array([3.0, -2.0]), 0.05
        weighting = FAMO(lr=0.025, decay=0.001)
        weighting.build(["a", "b"])
        weighting.double()
        mine = torch.tensor(place, requires_grad=True)
        for _ in range(200):
            share = torch.softmax(logits, 0)
            before = values(place)
            per_loss = share.detach().numpy() / before
            place = place - rate * (per_loss / per_loss.sum()) @ gradients(place)
            adam.zero_grad()
            share.backward(torch.tensor(np.log(before) - np.log(values(place))))
            adam.step()

            given = [
                size * (mine - torch.tensor(centre)).square().sum() + 0.1
                for size, centre in zip(sizes, centres, strict=True)
            ]
            (gradient,) = torch.autograd.grad(weighting(dict(zip("ab", given, strict=True)), progress=0.0), mine)
            with torch.no_grad():
                mine -= rate * gradient
            after = [
                size * (mine - torch.tensor(centre)).square().sum() + 0.1
                for size, centre in zip(sizes, centres, strict=True)
            ]
            weighting.after_step(torch.stack(after).detach())
        assert mine.detach().numpy() == pytest.approx(place, rel=1e-5)
        assert weighting.logits.numpy() == pytest.approx(logits.detach().numpy(), rel=1e-4)
        assert abs(float(weighting.logits[0])) > 0.05, "the shares have to move for the comparison to mean something"


def surgery(gradients: np.ndarray, orders: list[list[int]]) -> np.ndarray:
    """Algorithm 1 of Yu et al. on the vectors themselves."""
    out = []
    for task, order in enumerate(orders):
        mine = gradients[task].copy()
        for other in order:
            inner = mine @ gradients[other]
            if inner < 0:
                mine -= inner / (gradients[other] @ gradients[other]) * gradients[other]
        out.append(mine)
    return np.array(out)


def orders_of(tasks: int, seed: int) -> list[list[int]]:
    source, orders = random.Random(seed), []
    for task in range(tasks):
        order = [other for other in range(tasks) if other != task]
        source.shuffle(order)
        orders.append(order)
    return orders


vectors = st.tuples(st.integers(2, 4), st.integers(2, 6), st.integers(0, 10_000)).map(
    lambda size: np.random.default_rng(size[2]).normal(size=size[:2])
)


class TestPCGrad:
    def test_by_hand(self) -> None:
        gradients = np.array([[1.0, 0.0], [-1.0, 1.0]])
        # (1,0) + 1/2 (-1,1) = (1/2,1/2) and (-1,1) + (1,0) = (0,1)
        found = projected(torch.tensor(gradients @ gradients.T), random.Random(0)).numpy() @ gradients
        assert found == pytest.approx(np.array([[0.5, 0.5], [0.0, 1.0]]))

    @settings(max_examples=60, deadline=None)
    @given(vectors, st.integers(0, 99))
    def test_projection_of_the_vectors_themselves(self, gradients: np.ndarray, seed: int) -> None:
        found = projected(torch.tensor(gradients @ gradients.T), random.Random(seed)).numpy() @ gradients
        assert found == pytest.approx(surgery(gradients, orders_of(len(gradients), seed)), abs=1e-9)

    @settings(max_examples=60, deadline=None)
    @given(vectors)
    def test_of_two_tasks_none_conflicts_any_more(self, gradients: np.ndarray) -> None:
        pair = gradients[:2]
        found = projected(torch.tensor(pair @ pair.T), random.Random(0)).numpy() @ pair
        assert found[0] @ pair[1] >= -1e-9 and found[1] @ pair[0] >= -1e-9
        if pair[0] @ pair[1] >= 0:
            assert found == pytest.approx(pair)

    def test_the_order_goes_with_the_seed_and_matters(self) -> None:
        gradients = np.random.default_rng(3).normal(size=(4, 3))
        gram = torch.tensor(gradients @ gradients.T)

        def run(seed: int) -> list[list[float]]:
            torch.manual_seed(seed)
            weighting = PCGrad()
            weighting.build("abcd")
            return [weighting.factors(gram).tolist() for _ in range(6)]

        assert run(0) == run(0) != run(1)
        assert len({tuple(factors) for factors in run(0)}) > 1, "a new order every step"

    def test_a_gradient_of_zero_changes_nothing(self) -> None:
        gram = torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
        assert projected(gram, random.Random(0)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
