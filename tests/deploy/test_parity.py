"""The limit of parity, and what holds for a network that float32 itself computes less exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ParityError
from perceptransfer.core.features import Features
from perceptransfer.deploy.graph import Deployed
from perceptransfer.deploy.parity import check_parity, rounding_error


class Offset(nn.Module):
    """Softmax of scores far from zero, whose rounding is far larger than that of the shares themselves."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, images: Tensor) -> Features:
        shares = (images.mean(1, keepdim=True) + self.offset).flatten(2).softmax(2).view(-1, 1, *images.shape[2:])
        return Features(shares.flatten(1).sum(1, keepdim=True), (shares,))


class Format:
    """Another way to compute the same: the graph in float64, then spoilt."""

    file = "encoder.other"

    def __init__(self, graph: Deployed, error: float) -> None:
        self.graph, self.error = graph, error

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.detach() * (1 + self.error) for part in self.graph(images))


def graph(offset: float) -> Deployed:
    return Deployed(Offset(offset), (8, 8), (8, 8))  # type: ignore[arg-type]


PROBES = {"random": torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize(
    ("offset", "error", "passes"),
    [(0.0, 0.9e-5, True), (0.0, 1.2e-5, False), (1e3, 1.2e-5, True), (1e3, 1e-2, False), (0.0, float("nan"), False)],
)
def test_the_limit_is_the_larger_of_1e5_and_the_networks_own_rounding(
    offset: float, error: float, passes: bool, tmp_path: Path
) -> None:
    made = graph(offset)
    assert (rounding_error(made, PROBES["random"]) > 1e-5) is (offset > 0)
    check: Callable[[], dict[str, float]] = lambda: check_parity(Format(made, error), made, PROBES, tmp_path)  # type: ignore[arg-type]  # noqa: E731
    if passes:
        assert check()["random"] == pytest.approx(error, rel=0.1)
    else:
        with pytest.raises(ParityError, match="other"):
            check()
