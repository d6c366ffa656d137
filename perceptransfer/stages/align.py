"""Draw synthetic and real features together, without real labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from perceptransfer.alignment import MCC, AlignmentLoss
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.features import SOURCE, TARGET
from perceptransfer.data import Augmentation, Stream, batches
from perceptransfer.learning import (
    AlignmentModule,
    Optim,
    Precision,
    Runtime,
    build_loss,
    build_model,
    build_tasks,
    fit,
    to_checkpoint,
)
from perceptransfer.stages.base import Domains, Stage, StageResult, positive, share
from perceptransfer.stages.evidence import collect, prior_report, validators
from perceptransfer.tasks import classifier
from perceptransfer.weighting import Weighting


class Align(Stage):
    """Train on synthetic labels while ``loss`` acts between synthetic and unlabeled real images.

    ``norm`` is the batch-norm mode: one ``joint`` forward of both domains, or one ``per_domain``; from one checkpoint
    the two can end 35 points apart. The report holds the losses on the way and, with a classification task, the
    label-free validators before and after, the class shares estimated for the real images with an alarm, and the
    agreement with the model that came in.

    Args:
        loss: How far the domains lie apart; any `AlignmentLoss`, also a user's own by import path.
        weight: Factor on the alignment loss.
        warmup: Share of the steps over which the weight rises from 0.
        steps: Optimiser steps.
        batch_size: Images of each domain in a batch.
        lr: Peak learning rate of AdamW under a cosine schedule.
        weight_decay: Decoupled weight decay.
        norm: Batch-norm mode, joint or per_domain.
        source_augment: Augmentation of synthetic images; null for none.
        target_augment: Augmentation of real images; null for none.
        ema_decay: Decay of the moving average of weights that is handed on; null hands on the last weights.
        prior_threshold: Total variation between estimated real and synthetic class shares that raises the alarm.
        precision: Lightning's precision; ``bf16-mixed`` means float32 where the hardware lacks bfloat16.
        weighting: How several tasks' losses become one; any `Weighting`, also a user's own by import path. Null for
            their plain sum.
    """

    name: ClassVar[str] = "align"

    def __init__(
        self,
        loss: AlignmentLoss | None = None,
        weight: float = 1.0,
        warmup: float = 0.1,
        steps: int = 400,
        batch_size: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        norm: Literal["joint", "per_domain"] = "joint",
        source_augment: Augmentation | None = None,
        target_augment: Augmentation | None = None,
        ema_decay: float | None = None,
        prior_threshold: float = 0.2,
        precision: Precision = "32-true",
        weighting: Weighting | None = None,
    ) -> None:
        positive(self.name, steps=steps, batch_size=batch_size, lr=lr)
        share(self.name, warmup=warmup, prior_threshold=prior_threshold)
        self.loss = MCC() if loss is None else loss
        self.weight, self.warmup, self.norm = weight, warmup, norm
        self.optim, self.batch_size = Optim(steps, lr, weight_decay), batch_size
        self.source_augment, self.target_augment = source_augment, target_augment
        self.ema_decay, self.prior_threshold, self.precision = ema_decay, prior_threshold, precision
        self.weighting = weighting

    @property
    def reads(self) -> tuple[str, ...]:
        return ("synthetic", "unlabeled", "synthetic_val")

    @property
    def requires(self) -> tuple[str, ...]:
        return ("synthetic", "unlabeled")

    @property
    def total_steps(self) -> int:
        return self.optim.steps

    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        model, tasks = build_model(checkpoint, seed=seed), build_tasks(checkpoint)
        unlabeled, held_out = data["unlabeled"], data.get("synthetic_val")
        judge = classifier(tasks)
        evidence = None if judge is None else collect(model, judge.name, unlabeled, held_out)
        module = AlignmentModule(
            model,
            tasks,
            self.optim,
            build_loss(self.loss, model, tasks),
            weight=self.weight,
            warmup=self.warmup,
            norm=self.norm,
            ema_decay=self.ema_decay,
            weighting=instantiate(config_of(self.weighting)),
        )
        streams = {
            SOURCE: Stream(data["synthetic"], self.batch_size, self.source_augment, balanced=True),
            TARGET: Stream(unlabeled, self.batch_size, self.target_augment),
        }
        loader = batches(streams, steps=self.optim.steps, seed=seed, workers=runtime.workers)
        fit(module, loader, stage=self.name, steps=self.optim.steps, runtime=runtime, precision=self.precision)
        report: dict[str, Any] = {"loss": type(self.loss).__name__, "norm": self.norm, "history": module.history}
        report |= module.sharing.report()
        if judge is not None and evidence is not None:
            before, reference = evidence
            after, _ = collect(module.final_model(), judge.name, unlabeled, held_out, reference)
            report |= {
                "validators_before": validators(before),
                "validators_after": validators(after),
                "prior": prior_report(before, unlabeled.classes, self.prior_threshold),
            }
        return StageResult(to_checkpoint(module.final_model(), checkpoint, {"stage": self.name}), report)
