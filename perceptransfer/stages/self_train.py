"""Rounds of training on the model's own surest predictions."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from perceptransfer.alignment import AlignmentLoss
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import SOURCE, TARGET
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data import AppearanceAugmentation, Augmentation, Stream, batches
from perceptransfer.learning import (
    Bars,
    MeanTeacherModule,
    Optim,
    Precision,
    Runtime,
    SelfTrainingModule,
    Teacher,
    build_loss,
    build_model,
    build_tasks,
    fit,
    pseudo_labelled,
    to_checkpoint,
)
from perceptransfer.models import PerceptionModel
from perceptransfer.stages.base import Domains, Stage, StageResult, positive, share
from perceptransfer.stages.evidence import collect, validators
from perceptransfer.tasks import Task, classifier
from perceptransfer.weighting import Weighting


class SelfTrain(Stage):
    """Rounds of predict, filter by confidence per class, retrain on synthetic labels plus pseudo-labels.

    The teacher is the moving average of the student's weights.

    The bar is set per predicted class, and how many images each class keeps is not evened out, so no class balance is
    assumed. The report holds, for every round, the share kept and predicted per class.

    Every task that says how sure it is takes part. Of a mask the pixels below the bar of their class are ignored, of
    the keypoints those below their bar, or not found again in moved views, are not labelled; a model without a
    classification task learns from all images in this way. Depth has no confidence: its head goes on learning from
    synthetic images only. With a ``teacher`` the answers are made anew for every batch instead of every round.

    Args:
        rounds: Number of predict-filter-retrain rounds.
        steps: Optimiser steps of one round.
        batch_size: Images of each domain in a batch.
        lr: Peak learning rate; one cosine schedule runs over all rounds.
        weight_decay: Decoupled weight decay.
        keep: Share kept of every predicted class, for the first and the last round; between them it rises evenly.
        threshold: Confidence from which on an image is kept in any case.
        pseudo_weight: Factor on the loss of pseudo-labels.
        ema_decay: Decay of the teacher's moving average.
        loss: Alignment loss that goes on acting between synthetic and kept real images; null for none.
        loss_weight: Factor on the alignment loss.
        norm: Batch-norm mode, joint or per_domain.
        source_augment: Augmentation of synthetic images; null for none.
        target_augment: Augmentation of kept real images; null for none.
        precision: Lightning's precision; ``bf16-mixed`` means float32 where the hardware lacks bfloat16.
        weighting: How several tasks' losses become one; any `Weighting`, also a user's own by import path. Null for
            their plain sum.
        teacher: How the moving average labels every batch anew, for rounds * steps steps; keep and threshold then mean
            nothing. Null for rounds.
        agreement: Share of the longer side within which a keypoint must be found again in moved views.
    """

    name: ClassVar[str] = "self_train"
    IF_GIVEN: ClassVar[frozenset[str]] = Stage.IF_GIVEN | {"teacher", "agreement"}

    def __init__(
        self,
        rounds: int = 3,
        steps: int = 150,
        batch_size: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        keep: tuple[float, float] = (0.5, 0.9),
        threshold: float = 0.95,
        pseudo_weight: float = 1.0,
        ema_decay: float = 0.99,
        loss: AlignmentLoss | None = None,
        loss_weight: float = 1.0,
        norm: Literal["joint", "per_domain"] = "joint",
        source_augment: Augmentation | None = None,
        target_augment: Augmentation | None = None,
        precision: Precision = "32-true",
        weighting: Weighting | None = None,
        teacher: Teacher | None = None,
        agreement: float | None = None,
    ) -> None:
        positive(self.name, rounds=rounds, steps=steps, batch_size=batch_size, lr=lr)
        share(self.name, keep=min(keep), threshold=threshold)
        share(self.name, keep=max(keep))
        if keep[0] > keep[1]:
            raise ConfigError(f"keep falls from {keep[0]} to {keep[1]}", key="self_train.keep", remedy="let it rise")
        self.rounds, self.steps, self.batch_size = rounds, steps, batch_size
        self.lr, self.weight_decay = lr, weight_decay
        self.keep, self.threshold, self.pseudo_weight = keep, threshold, pseudo_weight
        self.ema_decay, self.loss, self.loss_weight, self.norm = ema_decay, loss, loss_weight, norm
        self.source_augment, self.target_augment, self.precision = source_augment, target_augment, precision
        self.weighting, self.teacher = weighting, teacher
        self.agreement = Bars.agreement if agreement is None else agreement
        share(self.name, agreement=self.agreement)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("synthetic", "unlabeled", "synthetic_val")

    @property
    def requires(self) -> tuple[str, ...]:
        return ("synthetic", "unlabeled")

    @property
    def total_steps(self) -> int:
        return self.rounds * self.steps

    def keep_in(self, number: int) -> float:
        """Share kept per class in a round, counted from 0."""
        return self.keep[0] + (self.keep[1] - self.keep[0]) * number / max(1, self.rounds - 1)

    def train(self, checkpoint: Checkpoint, data: Domains, *, seed: int, runtime: Runtime) -> StageResult:
        model, tasks = build_model(checkpoint, seed=seed), build_tasks(checkpoint)
        unlabeled, held_out, judge = data["unlabeled"], data.get("synthetic_val"), classifier(tasks)
        evidence = None if judge is None else collect(model, judge.name, unlabeled, held_out)
        module = self._module(model, tasks)
        if self.teacher is None:
            report: dict[str, Any] = {"rounds": self._in_rounds(module, data, seed, runtime)}
        else:
            report = {"rounds": [], "teacher": config_of(self.teacher)["init_args"]}
            self._fit(module, self._online(data, self.teacher), self.total_steps, seed, runtime)
        if judge is not None and evidence is not None:
            before, reference = evidence
            after, _ = collect(module.final_model(), judge.name, unlabeled, held_out, reference)
            report |= {"validators_before": validators(before), "validators_after": validators(after)}
        report |= module.sharing.report()
        return StageResult(to_checkpoint(module.final_model(), checkpoint, {"stage": self.name}), report)

    def _in_rounds(
        self, module: SelfTrainingModule, data: Domains, seed: int, runtime: Runtime
    ) -> list[dict[str, Any]]:
        reports = []
        for number in range(self.rounds):
            module.optim = Optim(
                self.steps, self.lr, self.weight_decay, start=number * self.steps, total=self.total_steps
            )
            answers, report = pseudo_labelled(
                module.final_model(),
                module.tasks,
                data["unlabeled"],
                data["synthetic"].targets,
                Bars(self.keep_in(number), self.threshold, self.agreement),
                derive_seed(seed, "views", number),
            )
            reports.append(report)
            streams = self._streams(data, Stream(answers, self.batch_size, self.target_augment))
            self._fit(module, streams, self.steps, derive_seed(seed, number), runtime)
        return reports

    def _online(self, data: Domains, teacher: Teacher) -> dict[str, Stream]:
        look = teacher.look or AppearanceAugmentation()
        return self._streams(data, Stream(data["unlabeled"], self.batch_size, self.target_augment, strong=look))

    def _streams(self, data: Domains, target: Stream) -> dict[str, Stream]:
        source = Stream(data["synthetic"], self.batch_size, self.source_augment, balanced=True)
        return {SOURCE: source, TARGET: target}

    def _fit(
        self, module: SelfTrainingModule, streams: dict[str, Stream], steps: int, seed: int, runtime: Runtime
    ) -> None:
        loader = batches(streams, steps, seed, workers=runtime.workers)
        fit(module, loader, stage=self.name, steps=steps, runtime=runtime, precision=self.precision)

    def _module(self, model: PerceptionModel, tasks: list[Task]) -> SelfTrainingModule:
        options: dict[str, Any] = {
            "pseudo_weight": self.pseudo_weight,
            "alignment": None if self.loss is None else build_loss(self.loss, model, tasks),
            "alignment_weight": self.loss_weight,
            "norm": self.norm,
            "ema_decay": self.ema_decay,
            "weighting": instantiate(config_of(self.weighting)),
        }
        if self.teacher is None:
            return SelfTrainingModule(model, tasks, Optim(self.steps, self.lr, self.weight_decay), **options)
        optim = Optim(self.total_steps, self.lr, self.weight_decay)
        return MeanTeacherModule(model, tasks, optim, teacher=self.teacher, **options)
