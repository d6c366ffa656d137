"""From a checkpoint to a model and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch

from perceptransfer.alignment import AlignmentLoss, Shapes
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, identity_of, instantiate
from perceptransfer.core.errors import StoreError
from perceptransfer.core.seeding import seed_everything
from perceptransfer.models import Encoder, PerceptionModel, without_pretrained_weights
from perceptransfer.tasks import Task, classifier


def initial_checkpoint(encoder: Encoder, tasks: Sequence[Task]) -> Checkpoint:
    """Checkpoint before the first stage: what to build, no weights yet."""
    return Checkpoint(model={"encoder": config_of(encoder), "tasks": config_of(list(tasks))})


def build_tasks(checkpoint: Checkpoint) -> list[Task]:
    """The tasks that the checkpoint's heads serve."""
    tasks: list[Task] = instantiate(checkpoint.model["tasks"])
    return tasks


def build_model(checkpoint: Checkpoint, *, seed: int) -> PerceptionModel:
    """Model with the checkpoint's weights, or initialised from ``seed`` where it holds none yet.

    Raises:
        StoreError: weights that do not fit the architecture.
    """
    seed_everything(seed)
    # Published weights would be read, or downloaded, only to be overwritten by the checkpoint's.
    with without_pretrained_weights() if checkpoint.state else nullcontext():
        encoder: Encoder = instantiate(checkpoint.model["encoder"])
    heads = {task.name: task.make_head(encoder.dim, encoder.channels) for task in build_tasks(checkpoint)}
    model = PerceptionModel(encoder, heads).to(memory_format=torch.channels_last)
    if checkpoint.state:
        try:
            model.load_state_dict(dict(checkpoint.state))
        except RuntimeError as error:
            raise StoreError(
                f"weights do not fit the model: {error}", remedy="use the checkpoint with the config it came from"
            ) from error
    return model


def change_tasks(checkpoint: Checkpoint, tasks: Sequence[Task], *, seed: int) -> Checkpoint:
    """The same encoder under heads for other tasks.

    The head of a task that stays what it was goes on with its weights, all others start from ``seed``.
    """
    changed = Checkpoint(model={**checkpoint.model, "tasks": config_of(list(tasks))}, meta=checkpoint.meta)
    if not checkpoint.state:
        return changed
    known = {task.name: identity_of(task) for task in build_tasks(checkpoint)}
    kept = tuple(f"heads.{task.name}." for task in tasks if known.get(task.name) == identity_of(task))
    with without_pretrained_weights():
        fresh = build_model(changed, seed=seed).state_dict()
    carried = {name: tensor for name, tensor in checkpoint.state.items() if name.startswith(("encoder.", *kept))}
    return replace(changed, state={**fresh, **carried})


def build_loss(loss: AlignmentLoss, model: PerceptionModel, tasks: Sequence[Task]) -> AlignmentLoss:
    """A fresh alignment loss of the same arguments, made ready for a model: a stage may run many times."""
    made: AlignmentLoss = instantiate(config_of(loss))
    made.prepare(
        Shapes(
            dim=model.encoder.dim,
            num_classes=(classifier(tasks) or tasks[0]).num_outputs,
            channels=tuple(model.encoder.channels),
            kinds={task.name: task.label_key for task in tasks},
            sizes={task.name: task.num_outputs for task in tasks},
        )
    )
    return made


def to_checkpoint(model: PerceptionModel, parent: Checkpoint, meta: Mapping[str, Any] | None = None) -> Checkpoint:
    """Checkpoint of a trained model; tensors are copied to the CPU."""
    state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    return Checkpoint(model=parent.model, state=state, meta=dict(meta or {}))
