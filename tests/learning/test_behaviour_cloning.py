"""Behaviour cloning: chunks, masks, batches, determinism, and what it may not touch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perceptransfer.core.errors import DataError, DivergedError
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim, Runtime
from perceptransfer.learning.behaviour_cloning import BehaviourCloningModule, batches, chunked, clone
from perceptransfer.policy import ChunkHead, MLPHead


def linear_task(count: int = 400) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(count, 3, generator=generator) * torch.tensor([1.0, 10.0, 0.1]) + 4
    matrix = torch.tensor([[1.0, 0.0], [0.1, -0.2], [0.0, 5.0]])
    return {"features": features, "action": features @ matrix}


def trained(seed: int) -> tuple[MLPHead, dict[str, torch.Tensor]]:
    columns = linear_task()
    seed_everything(seed)
    head = MLPHead(3, 2, hidden=(32,), dropout=0.1)
    clone(head, columns, Optim(40, lr=1e-2), seed=seed, batch_size=64)
    return head, columns


def test_it_learns_and_equal_seeds_give_equal_bits() -> None:
    head, columns = trained(0)
    error = (head(columns["features"]) - columns["action"]).square().mean()
    assert error < 0.3 * columns["action"].var(0).mean()
    again, other = trained(0)[0].state_dict(), trained(1)[0].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in head.state_dict().items())
    assert not torch.equal(head.layers[0].weight, other["layers.0.weight"])
    assert not head.training


def test_chunks_by_hand() -> None:
    chunks, mask = chunked(torch.tensor([[1.0], [2.0], [3.0]]), 2)
    assert chunks[..., 0].tolist() == [[1, 2], [2, 3], [3, 3]]
    assert mask.tolist() == [[True, True], [True, True], [True, False]]


def test_what_is_masked_does_not_count() -> None:
    head = ChunkHead(3, 1, horizon=2, hidden=())
    module = BehaviourCloningModule(head, Optim(1))
    batch = {"features": torch.randn(4, 3), "action": torch.randn(4, 2, 1), "mask": torch.ones(4, 2, dtype=torch.bool)}
    batch["mask"][:, 1] = False
    loss = module.training_step(batch, 0)
    batch["action"][:, 1] += 100
    assert torch.equal(loss, module.training_step(batch, 0))
    batch["action"][:, 0] += 100
    assert module.training_step(batch, 0) > loss


def test_huber_loss_by_hand() -> None:
    head = MLPHead(1, 2, hidden=())
    nn.init.zeros_(head.layers[0].weight)
    nn.init.zeros_(head.layers[0].bias)
    batch = {"features": torch.zeros(1, 1), "action": torch.tensor([[0.5, 3.0]])}
    # 0.5²/2 and 3 − 0.5, mean over the two.
    assert BehaviourCloningModule(head, Optim(1)).training_step(batch, 0).item() == pytest.approx((0.125 + 2.5) / 2)


class Grey(nn.Module):
    """Mean brightness after a scale that can be trained, and batch normalisation that a frozen encoder must not use."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm1d(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.scale * images.mean((1, 2, 3))[:, None])


@pytest.mark.parametrize("frozen", [True, False])
def test_pictures_train_the_encoder_unless_it_is_frozen(frozen: bool) -> None:
    encoder = Grey().requires_grad_(not frozen)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    pictures = torch.randint(0, 256, (40, 3, 4, 4), dtype=torch.uint8)
    columns = {"picture": pictures, "features": torch.randn(40, 2), "action": torch.randn(40, 2)}
    clone(MLPHead(3, 2, hidden=(4,)), columns, Optim(3), seed=0, batch_size=8, encoder=encoder)
    same = {name: torch.equal(value, before[name]) for name, value in encoder.state_dict().items()}
    assert all(same.values()) if frozen else not any(same.values())


def test_batches_pass_over_every_row_before_any_comes_again() -> None:
    column = torch.arange(10)
    seen = torch.cat([b["row"] for b in batches({"row": column}, batch_size=4, steps=5, seed=3)])
    assert sorted(seen[:10].tolist()) == list(range(10)) == sorted(seen[10:].tolist())
    again = torch.cat([b["row"] for b in batches({"row": column}, batch_size=4, steps=5, seed=3)])
    assert torch.equal(seen, again)


def test_batches_larger_than_the_data_and_pictures_as_floats() -> None:
    made = next(batches({"picture": torch.full((2, 1), 255, dtype=torch.uint8)}, batch_size=5, steps=1, seed=0))
    assert made["picture"].tolist() == [[1.0]] * 5


@pytest.mark.parametrize("sizes", [(3, 4), (0, 0)])
def test_columns_that_do_not_fit_are_named(sizes: tuple[int, int]) -> None:
    columns = {"features": torch.zeros(sizes[0], 2), "action": torch.zeros(sizes[1], 2)}
    with pytest.raises(DataError, match="same number of rows"):
        next(batches(columns, batch_size=2, steps=1, seed=0))


def test_a_diverging_training_stops() -> None:
    columns = linear_task(20)
    columns["action"][3] = torch.inf
    with pytest.raises(DivergedError, match="became"):
        clone(MLPHead(3, 2, hidden=(4,)), columns, Optim(2), seed=0, runtime=Runtime("cpu"))
