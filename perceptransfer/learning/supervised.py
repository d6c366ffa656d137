"""Training on labels: of one domain or of several mixed in every batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import lightning as L
import torch
from torch import Tensor

from perceptransfer.core.errors import DataError
from perceptransfer.core.features import IMAGE, Features
from perceptransfer.learning.multi_task import Sharing
from perceptransfer.learning.optim import Optim
from perceptransfer.models import EMA, PerceptionModel, untracked_batchnorm
from perceptransfer.tasks import Task
from perceptransfer.weighting import MultiTaskLog, Weighting

Batch = Mapping[str, Mapping[str, Tensor]]
NormMode = Literal["joint", "per_domain"]


def weight_key(label_key: str) -> str:
    """Key in a batch of how much each label of a kind counts, for labels that are not all equally sure."""
    return f"{label_key}_weight"


class SupervisedModule(L.LightningModule):
    """Weighted sum of the tasks' losses over every labelled stream of the batch.

    A batch maps stream names to ``{"image": [B,3,H,W], "label": ...}``. ``norm="joint"`` sends all streams through
    the model in one forward, so that batch norm sees their mixture; ``per_domain`` takes one forward a stream. Which
    of the two is used decides more than the loss does for several methods, hence the explicit switch.
    ``stream_weights`` scales the streams' losses (1 where none is given). With ``ema_decay`` an exponential moving
    average of weights and buffers is kept; `final_model` hands it out.

    ``weighting`` makes one scalar of the tasks' losses, each summed over the streams that hold the task's labels; their
    plain sum by default. ``task_log`` samples what it did and how the tasks' gradients on the encoder agree.
    """

    def __init__(
        self,
        model: PerceptionModel,
        tasks: Sequence[Task],
        optim: Optim,
        *,
        norm: NormMode = "joint",
        stream_weights: Mapping[str, float] | None = None,
        ema_decay: float | None = None,
        weighting: Weighting | None = None,
        task_log: MultiTaskLog | None = None,
    ) -> None:
        super().__init__()
        self.model, self.tasks, self.optim, self.norm = model, list(tasks), optim, norm
        self.stream_weights = dict(stream_weights or {})
        self.ema = EMA(model, ema_decay) if ema_decay is not None else None
        self.sharing = Sharing(self.tasks, weighting, task_log)

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0..1; a training in parts is one run."""
        return min(1.0, self.step / max(1, self.steps))

    @property
    def step(self) -> int:
        """Step within the run, earlier parts included."""
        return self.optim.start + self.global_step

    @property
    def steps(self) -> int:
        """Steps of the run, all parts."""
        return self.optim.total or self.optim.steps

    def forward_streams(self, images: Mapping[str, Tensor]) -> dict[str, Features]:
        """Features of every stream, by one joint forward or one each."""
        if self.norm == "per_domain" or len(images) == 1:
            return {name: self.model(image) for name, image in images.items()}
        joint = self.model(torch.cat(list(images.values())))
        sizes = [len(image) for image in images.values()]
        pooled = joint.pooled.split(sizes)
        pyramid = [level.split(sizes) for level in joint.pyramid]
        outputs = {task: output.split(sizes) for task, output in joint.outputs.items()}
        return {
            name: Features(
                pooled[i], tuple(level[i] for level in pyramid), {task: output[i] for task, output in outputs.items()}
            )
            for i, name in enumerate(images)
        }

    def features_of(self, batch: Batch) -> dict[str, Features]:
        """Features of all streams of a batch."""
        return self.forward_streams({name: stream[IMAGE] for name, stream in batch.items()})

    def labelled(self, batch: Batch) -> Batch:
        """The streams whose labels are trained on."""
        return batch

    def task_losses(self, features: Mapping[str, Features], streams: Batch) -> dict[str, Tensor]:
        """Each task's loss, summed over the streams that hold its labels.

        Raises:
            DataError: a task without labels in any stream.
        """
        losses: dict[str, Tensor] = {}
        for task in self.tasks:
            found = [
                self.stream_weights.get(name, 1.0)
                * task.loss(
                    features[name].outputs[task.name], stream[task.label_key], stream.get(weight_key(task.label_key))
                )
                for name, stream in streams.items()
                if task.label_key in stream
            ]
            if not found:
                raise DataError(
                    f"the task {task.name!r} needs labels of the kind {task.label_key!r}, the images have none",
                    where=", ".join(streams),
                    key=f"tasks.{task.name}",
                    remedy="give a source with such labels, or leave out the task",
                )
            losses[task.name] = torch.stack(found).sum()
        return losses

    def weighted(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One scalar of the tasks' losses."""
        return self.sharing.total(losses, self.model, step=self.step, steps=self.steps, progress=self.progress)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.weighted(self.task_losses(self.features_of(batch), self.labelled(batch)))

    def on_fit_start(self) -> None:
        self.sharing.check_precision(str(self.trainer.precision))

    def on_after_backward(self) -> None:
        self.sharing.correct(lambda tensor: self.trainer.strategy.reduce(tensor, reduce_op="mean"))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        if self.sharing.weighting.AFTER_STEP:
            with torch.no_grad(), untracked_batchnorm(self.model), self.trainer.precision_plugin.forward_context():
                losses = self.task_losses(self.features_of(batch), self.labelled(batch))
            self.sharing.weighting.after_step(self.sharing.weighting.stacked(losses))

    def final_model(self) -> PerceptionModel:
        """The trained model: the moving average where one is kept."""
        return self.model if self.ema is None else cast(PerceptionModel, self.ema.module)

    def configure_optimizers(self) -> Any:
        return self.optim.build(self.parameters())
