"""Behaviour cloning: a policy head, with or without its encoder, trained to do what a demonstration did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from perceptransfer.core.errors import DataError
from perceptransfer.core.seeding import derive_seed, seed_everything
from perceptransfer.learning.fit import Runtime, fit
from perceptransfer.learning.optim import Optim
from perceptransfer.policy.heads import PolicyHead

FEATURES, PICTURE, ACTION, MASK = "features", "picture", "action", "mask"


class BehaviourCloningModule(L.LightningModule):
    """Huber loss between the head's and the demonstrated actions, both normalised.

    A batch holds ``action`` ``[B, A]`` or ``[B, k, A]``, with ``mask`` ``[B, k]`` where a chunk runs over the end of
    its episode, and either or both of ``features`` ``[B, D]`` (cached features, joint angles, ...) and ``picture``
    ``[B, 3, H, W]`` in 0..1. Pictures need an ``encoder`` that gives ``[B, E]``, put before the features.
    Gradients reach the encoder as far as its parameters want any; one without trainable parameters is left in
    evaluation mode.
    """

    def __init__(self, head: PolicyHead, optim: Optim, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.head, self.optim, self.encoder = head, optim, encoder

    def inputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What the head sees, ``[B, D]``."""
        parts = [batch[FEATURES]] if FEATURES in batch else []
        if self.encoder is not None and PICTURE in batch:
            parts.insert(0, self.encoder(batch[PICTURE]))
        return torch.cat(parts, 1)

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        wanted = self.head.actions(batch[ACTION])
        loss = smooth_l1_loss(self.head.predict(self.inputs(batch)), wanted, reduction="none").mean(-1)
        if MASK in batch:
            mask = batch[MASK].to(loss.dtype)
            return (loss * mask).sum() / mask.sum().clamp_min(1)
        return loss.mean()

    def on_train_start(self) -> None:
        if self.encoder is not None and not any(item.requires_grad for item in self.encoder.parameters()):
            self.encoder.eval()

    def configure_optimizers(self) -> Any:
        return self.optim.build(self.parameters())


def chunked(actions: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """The next ``horizon`` actions from every tick of an episode ``[T, A]``: ``[T, k, A]`` and the mask ``[T, k]``.

    Beyond the end the last action is repeated and masked out.
    """
    at = torch.arange(len(actions))[:, None] + torch.arange(horizon)
    return actions[at.clamp_max(len(actions) - 1)], at < len(actions)


def batches(columns: Mapping[str, Tensor], *, batch_size: int, steps: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """Draw ``steps`` batches: reshuffled passes over the rows, equal for equal seeds; ``uint8`` becomes 0..1.

    Raises:
        DataError: columns that differ in length, or none.
    """
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise DataError(f"columns must have the same number of rows, at least one: {sizes}", key="demonstrations")
    count = next(iter(sizes.values()))
    generator = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    rows = torch.zeros(0, dtype=torch.long)
    for _ in range(steps):
        while len(rows) < batch_size:
            rows = torch.cat([rows, torch.randperm(count, generator=generator)])
        taken, rows = rows[:batch_size], rows[batch_size:]
        batch = {name: column[taken] for name, column in columns.items()}
        yield {name: value.float() / 255 if value.dtype == torch.uint8 else value for name, value in batch.items()}


def clone(
    head: PolicyHead,
    columns: Mapping[str, Tensor],
    optim: Optim,
    *,
    seed: int,
    batch_size: int = 256,
    encoder: nn.Module | None = None,
    runtime: Runtime | None = None,
) -> None:
    """Train ``head`` in place on cached columns (see `BehaviourCloningModule` and `batches`).

    The head's normalisations are taken from the columns before the first step; with pictures that of the features is
    left as it is, since they move with the encoder.

    Raises:
        DivergedError: the loss became NaN or infinite.
        DataError: columns that do not fit together.
    """
    if PICTURE in columns:
        head.actions.fit(columns[ACTION])
    else:
        head.fit_normalizers(columns[FEATURES], columns[ACTION])
    module = BehaviourCloningModule(head, optim, encoder)
    seed_everything(derive_seed(seed, "clone"))  # dropout
    feed = batches(columns, batch_size=batch_size, steps=optim.steps, seed=seed)
    fit(module, feed, stage="clone", steps=optim.steps, runtime=runtime or Runtime("cpu"))
    head.eval()
