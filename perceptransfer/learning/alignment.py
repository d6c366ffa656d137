"""Training on source labels while an alignment loss draws the two domains' features together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from perceptransfer.alignment import AlignmentLoss, NoAlignment
from perceptransfer.core.features import SOURCE, TARGET
from perceptransfer.learning.optim import Optim
from perceptransfer.learning.supervised import Batch, NormMode, SupervisedModule
from perceptransfer.models import PerceptionModel
from perceptransfer.tasks import Task
from perceptransfer.weighting import Weighting


class AlignmentModule(SupervisedModule):
    """Task loss on the source plus ``weight`` times an `AlignmentLoss` between source and target features.

    The weight rises linearly over the first ``warmup`` share of the run: alignment on features that cannot tell the
    classes apart yet pairs the wrong ones. Target labels do not exist in the batch.
    """

    def __init__(
        self,
        model: PerceptionModel,
        tasks: Sequence[Task],
        optim: Optim,
        loss: AlignmentLoss,
        *,
        weight: float = 1.0,
        warmup: float = 0.1,
        norm: NormMode = "joint",
        ema_decay: float | None = None,
        weighting: Weighting | None = None,
    ) -> None:
        super().__init__(model, tasks, optim, norm=norm, ema_decay=ema_decay, weighting=weighting)
        self.alignment, self.weight, self.warmup = loss, weight, warmup
        self.history: dict[str, list[float]] = {}

    def labelled(self, batch: Batch) -> Batch:
        return {SOURCE: batch[SOURCE]}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if isinstance(self.alignment, NoAlignment):
            batch = self.labelled(batch)  # in a joint forward batch norm would adapt to the target
        features = self.features_of(batch)
        task = self.weighted(self.task_losses(features, self.labelled(batch)))
        if TARGET not in features:
            self._record(task=task)
            return task
        alignment = self.alignment(features[SOURCE], features[TARGET], progress=self.progress)
        ramp = 1.0 if self.warmup <= 0 else min(1.0, self.progress / self.warmup)
        self._record(task=task, alignment=alignment)
        return task + self.weight * ramp * alignment

    def _record(self, **losses: Tensor) -> None:
        # A tenth of the run apart: enough to see a collapse, few enough not to wait for a device at every step.
        if self.global_step % max(1, self.optim.steps // 10) == 0:
            values = {name: float(loss.detach()) for name, loss in losses.items()} | dict(self.alignment.logs)
            for name, value in values.items():
                self.history.setdefault(name, []).append(value)
