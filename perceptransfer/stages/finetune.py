"""Spend a few real labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import SOURCE, TARGET
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data import Augmentation, Domain, Stream, batches
from perceptransfer.learning import (
    Bars,
    Optim,
    Precision,
    Runtime,
    SupervisedModule,
    build_model,
    build_tasks,
    change_tasks,
    fit,
    pseudo_labelled,
    to_checkpoint,
)
from perceptransfer.models import LoRA, PerceptionModel, add_lora, set_trainable
from perceptransfer.stages.base import Domains, Stage, StageResult, positive, share
from perceptransfer.tasks import Task
from perceptransfer.weighting import MultiTaskLog, Weighting

PSEUDO = "pseudo"
NEGLIGIBLE = 0.02
Tune = Literal["all", "first", "middle", "last", "head", "norm"]


class Finetune(Stage):
    """Train on the labelled real images, head first if asked, on all weights, some of them, or LoRA adapters.

    Few labels alone would pull the model away from what it has learnt without them. ``replay_weight`` goes on
    training on synthetic labels and ``pseudo_weight`` on the incoming model's own surest predictions for the real
    images that have no label, which are predicted anew at the start of every round. The three streams are weighted
    against each other; with both weights 0 this is plain fine-tuning.

    Head first, then all: Kumar et al., ICLR 2022. Parts of the encoder: Lee et al., ICLR 2023. LoRA: Hu et al., 2022.

    Args:
        steps: Optimiser steps, head steps included.
        head_steps: Steps at the start in which only the heads move.
        batch_size: Labelled images in a batch.
        extra_batch_size: Synthetic and pseudo-labelled images in a batch, of each; null for as many as labelled ones.
        lr: Peak learning rate; a cosine schedule runs over all steps.
        weight_decay: Decoupled weight decay.
        tune: Which weights move: all, the first, middle or last third of the encoder's blocks, head, or norm layers.
        lora_rank: Rank of LoRA adapters in the encoder instead of its weights; null for none. Merged at the end.
        lora_alpha: Scale of the adapters, divided by the rank.
        replay_weight: Factor on the synthetic loss; 0 leaves synthetic images out.
        pseudo_weight: Factor on the pseudo-label loss; 0 leaves unlabeled images out.
        halved_at: Labels per class at which both factors are halved, since real labels outdo synthetic and guessed ones
            where there are enough of them; null for constant factors. A stream whose factor falls below 0.02 is left
            out, so that batch norm sees real images alone.
        rounds: How often pseudo-labels are predicted anew over the steps.
        keep: Share kept of every predicted class.
        threshold: Confidence from which on a prediction is kept in any case.
        ema_decay: Decay of the moving average of weights that is handed on; null hands on the last weights.
        balanced: Draw the labelled classes equally often.
        augment: Augmentation of real images; null for none.
        source_augment: Augmentation of synthetic images; null for none.
        precision: Lightning's precision; ``bf16-mixed`` means float32 where the hardware lacks bfloat16.
        weighting: How several tasks' losses become one; any `Weighting`, also a user's own by import path. Null for
            their plain sum.
        tasks: What the model is to learn from here on, where that is something else than before: the encoder goes on
            under new heads. Null keeps the tasks.
    """

    name: ClassVar[str] = "finetune"
    IF_GIVEN: ClassVar[frozenset[str]] = Stage.IF_GIVEN | {"tasks"}

    def __init__(
        self,
        steps: int = 200,
        head_steps: int = 0,
        batch_size: int = 64,
        extra_batch_size: int | None = None,
        lr: float = 5e-4,
        weight_decay: float = 1e-4,
        tune: Tune = "all",
        lora_rank: int | None = None,
        lora_alpha: float = 16.0,
        replay_weight: float = 0.0,
        pseudo_weight: float = 0.0,
        halved_at: float | None = 5.0,
        rounds: int = 1,
        keep: float = 0.9,
        threshold: float = 0.95,
        ema_decay: float | None = None,
        balanced: bool = True,
        augment: Augmentation | None = None,
        source_augment: Augmentation | None = None,
        precision: Precision = "32-true",
        weighting: Weighting | None = None,
        tasks: list[Task] | None = None,
    ) -> None:
        positive(self.name, steps=steps, batch_size=batch_size, lr=lr, rounds=rounds)
        positive(self.name, halved_at=1.0 if halved_at is None else halved_at)
        share(self.name, keep=keep, threshold=threshold)
        if not 0 <= head_steps <= steps:
            raise ConfigError(f"{head_steps} head steps of {steps}", key="finetune.head_steps", remedy="0 to steps")
        if lora_rank is not None and tune != "all":
            raise ConfigError("LoRA replaces the choice of weights", key="finetune.tune", remedy="leave tune at all")
        if tasks is not None and (not tasks or pseudo_weight > 0):
            raise ConfigError(
                "no task to go on with, or pseudo-labels of a task that the model has not learnt yet",
                key="finetune.tasks",
                remedy="name at least one task and set pseudo_weight to 0",
            )
        self.steps, self.head_steps, self.batch_size = steps, head_steps, batch_size
        self.extra_batch_size = batch_size if extra_batch_size is None else extra_batch_size
        positive(self.name, extra_batch_size=self.extra_batch_size)
        self.lr, self.weight_decay, self.tune = lr, weight_decay, tune
        self.lora_rank, self.lora_alpha = lora_rank, lora_alpha
        self.replay_weight, self.pseudo_weight, self.rounds = replay_weight, pseudo_weight, rounds
        self.halved_at = halved_at
        self.keep, self.threshold, self.ema_decay, self.balanced = keep, threshold, ema_decay, balanced
        self.augment, self.source_augment, self.precision = augment, source_augment, precision
        self.weighting, self.tasks = weighting, tasks

    @property
    def reads(self) -> tuple[str, ...]:
        replay = ("synthetic",) if self.replay_weight > 0 else ()
        pseudo = ("unlabeled",) if self.pseudo_weight > 0 else ()
        return ("labeled", *replay, *pseudo)

    @property
    def requires(self) -> tuple[str, ...]:
        return ("labeled",)

    @property
    def total_steps(self) -> int:
        return self.steps

    def weights(self, labeled: Domain) -> dict[str, float]:
        """Factors on the synthetic and the pseudo-label loss beside these labels; 0 where the stream is left out."""
        per_class = len(labeled) / len(labeled.classes)
        share = 1.0 if self.halved_at is None else 1.0 / (1.0 + per_class / self.halved_at)
        factors = {SOURCE: self.replay_weight * share, PSEUDO: self.pseudo_weight * share}
        return {name: factor if factor >= NEGLIGIBLE else 0.0 for name, factor in factors.items()}

    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        if self.tasks is not None:
            checkpoint = change_tasks(checkpoint, self.tasks, seed=seed)
        model, tasks = build_model(checkpoint, seed=seed), build_tasks(checkpoint)
        adapters: LoRA | None = None
        if self.lora_rank is not None:
            adapters = add_lora(model.encoder, self.lora_rank, self.lora_alpha)
        rounds: list[dict[str, Any]] = []
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        weighting, task_log, start = instantiate(config_of(self.weighting)), MultiTaskLog(), 0
        for number, (steps, head_only) in enumerate(self._parts()):
            if adapters is None:
                trained = set_trainable(model, "head" if head_only else self.tune)
            streams, kept = self._streams(model, tasks, data, derive_seed(seed, "views", number))
            rounds += kept
            module = SupervisedModule(
                model,
                tasks,
                Optim(steps, self.lr, self.weight_decay, start=start, total=self.steps),
                stream_weights=self.weights(data["labeled"]),
                ema_decay=self.ema_decay,
                weighting=weighting,
                task_log=task_log,
            )
            loader = batches(streams, steps, derive_seed(seed, number), workers=runtime.workers)
            fit(module, loader, stage=self.name, steps=steps, runtime=runtime, precision=self.precision)
            start += steps
            if self.ema_decay is not None:
                model.load_state_dict(module.final_model().state_dict())  # in place: the adapters belong to this model
        if adapters is not None:
            adapters.merge()
        report: dict[str, Any] = {"labels": len(data["labeled"]), "trained": len(trained), "rounds": rounds}
        report |= module.sharing.report()
        return StageResult(to_checkpoint(model, checkpoint, {"stage": self.name}), report)

    def _parts(self) -> list[tuple[int, bool]]:
        rest = self.steps - self.head_steps
        even = [rest * (i + 1) // self.rounds - rest * i // self.rounds for i in range(self.rounds)]
        return [(self.head_steps, True)] * (self.head_steps > 0) + [(steps, False) for steps in even if steps]

    def _streams(
        self, model: PerceptionModel, tasks: list[Task], data: Domains, seed: int
    ) -> tuple[dict[str, Stream], list[dict[str, Any]]]:
        streams = {TARGET: Stream(data["labeled"], self.batch_size, self.augment, balanced=self.balanced)}
        weights = self.weights(data["labeled"])
        if weights[SOURCE]:
            streams[SOURCE] = Stream(data["synthetic"], self.extra_batch_size, self.source_augment, balanced=True)
        if not weights[PSEUDO]:
            return streams, []
        rest = _without(data["unlabeled"], data["labeled"])
        if not len(rest):
            return streams, []
        bars = Bars(self.keep, self.threshold)
        pseudo, report = pseudo_labelled(model, tasks, rest, data["labeled"].targets, bars, seed)
        streams[PSEUDO] = Stream(pseudo, self.extra_batch_size, self.augment)
        return streams, [report]


def _without(unlabeled: Domain, labeled: Domain) -> Domain:
    """The unlabeled images whose label has not been bought: a true label is better than a guessed one."""
    bought = set(labeled.hashes)
    rest = np.array([i for i, name in enumerate(unlabeled.hashes) if name not in bought], dtype=np.int64)
    return unlabeled.subset(rest)
