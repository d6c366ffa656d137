"""A teacher that labels every batch anew while the student learns."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import IMAGE, KEYPOINTS, LABEL, MASK, SOURCE, TARGET
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data import Augmentation
from perceptransfer.data.batches import IMAGE_STRONG
from perceptransfer.learning.self_training import SelfTrainingModule
from perceptransfer.learning.supervised import Batch, weight_key
from perceptransfer.models import enlarge
from perceptransfer.tasks import Task

MASKED = "masked"


class Teacher(Configurable):
    """How the moving average of the student labels the unlabeled images of every batch.

    It sees their weak view; the student sees the same view in another look and learns the teacher's answers where they
    are sure: an image's class, a pixel or a keypoint counts where its confidence reaches ``threshold``, or the running
    mean of its class (or keypoint) where that is lower, so that hard classes are not drowned (Wang et al., FreeMatch,
    ICLR 2023). A mask's loss is over all its pixels, and thereby weighted by the share of sure ones (Tranheden et al.,
    DACS, WACV 2021); a keypoint counts by its confidence besides. With ``mask_ratio`` the student learns them a
    second time from the picture with that share of its squares blacked out (Hoyer et al., MIC, CVPR 2023).

    Args:
        threshold: Confidence that counts as sure.
        look: Change of look between the two views; null for `AppearanceAugmentation`. It must not move things.
        mask_ratio: Share of the squares that are blacked out for masked consistency; 0 for none of it.
        mask_cells: Squares along the longer side.
    """

    VERSION: ClassVar[int] = 2

    def __init__(
        self, threshold: float = 0.9, look: Augmentation | None = None, mask_ratio: float = 0.0, mask_cells: int = 6
    ) -> None:
        for key, value in {"threshold": threshold, "mask_ratio": mask_ratio}.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"{value} is outside 0 to 1", key=f"self_train.teacher.{key}", remedy="give a share")
        if mask_cells < 1:
            raise ConfigError(f"{mask_cells} squares", key="self_train.teacher.mask_cells", remedy="give 1 or more")
        self.threshold, self.look, self.mask_ratio, self.mask_cells = threshold, look, mask_ratio, mask_cells


class MeanTeacherModule(SelfTrainingModule):
    """Self-training whose pseudo-labels come from the moving average of the weights, batch by batch.

    Paper: Tarvainen and Valpola, NeurIPS 2017.
    """

    def __init__(self, *args: Any, teacher: Teacher, **options: Any) -> None:
        super().__init__(*args, **options)
        self.teacher, self.bars = teacher, RunningBars(teacher.threshold)
        self.last: Batch = {}
        self.stream_weights[MASKED] = self.stream_weights[TARGET]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.last = self.answered(batch)
        return super().training_step(self.last, batch_idx)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(outputs, self.last, batch_idx)  # the same answers: the step alone is judged

    def answered(self, batch: Batch) -> Batch:
        """The batch with the teacher's answers, for the student's views."""
        assert self.ema is not None  # the base class always makes one
        target = batch[TARGET]
        with torch.no_grad():
            outputs = self.ema.module(target[IMAGE]).outputs
        answers: dict[str, Tensor] = {}
        for task in self.tasks:
            answers |= believed(task, outputs[task.name], target[IMAGE].shape[-2:], self.bars)
        streams = {SOURCE: batch[SOURCE], TARGET: {IMAGE: target[IMAGE_STRONG], **answers}}
        if self.teacher.mask_ratio:
            masked = blacked_out(
                target[IMAGE_STRONG], self.teacher.mask_ratio, self.teacher.mask_cells, self.global_step
            )
            streams[MASKED] = {IMAGE: masked, **answers}
        return streams


class RunningBars:
    """What counts as sure: confidence of at least ``threshold`` or the running mean of its class, if that is lower."""

    def __init__(self, threshold: float, decay: float = 0.9) -> None:
        self.threshold, self.decay = threshold, decay
        self.means: dict[str, Tensor] = {}

    def sure(self, name: str, classes: Tensor, confidence: Tensor, count: int) -> Tensor:
        """Which of the predictions of ``classes`` (of ``count``) are sure, after they have moved the means."""
        index, values = classes.flatten().long(), confidence.flatten().float()
        seen = values.new_zeros(count).index_add_(0, index, torch.ones_like(values))
        mean = values.new_zeros(count).index_add_(0, index, values) / seen.clamp_min(1)
        before = self.means.get(name)
        if before is not None:
            mean = torch.where(seen > 0, self.decay * before + (1 - self.decay) * mean, before)
        else:
            mean = torch.where(seen > 0, mean, torch.full_like(mean, self.threshold))
        self.means[name] = mean
        return confidence >= mean.clamp_max(self.threshold)[classes.long()]


def believed(task: Task, output: Tensor, size: torch.Size, bars: RunningBars) -> dict[str, Tensor]:
    """A task's own labels for a batch and how much each counts; nothing for a task without confidence."""
    key = task.label_key
    if key not in (LABEL, MASK, KEYPOINTS):
        return {}
    label, confidence = task.pseudo_label(enlarge(output, size) if key == MASK else output)
    which = torch.arange(task.num_outputs, device=output.device).expand_as(confidence) if key == KEYPOINTS else label
    weight = bars.sure(task.name, which, confidence, task.num_outputs).float()
    return {key: label, weight_key(key): weight * confidence if key == KEYPOINTS else weight}


def blacked_out(images: Tensor, ratio: float, cells: int, step: int) -> Tensor:
    """Images with squares set to black; which ones depends on the step alone."""
    height, width = images.shape[-2:]
    side = -(-max(height, width) // cells)
    generator = torch.Generator().manual_seed(derive_seed("squares", step))
    drawn = torch.rand(len(images), 1, -(-height // side), -(-width // side), generator=generator)
    kept = (drawn >= ratio).to(images).repeat_interleave(side, 2).repeat_interleave(side, 3)
    return images * kept[:, :, :height, :width]
