"""A teacher that labels every batch anew while the student learns."""

from __future__ import annotations

from typing import Any

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

    It sees their weak view; the student sees the same view in another look and learns the teacher's answers, weighted:
    an image's class counts where its confidence reaches ``threshold``, its mask by the share of pixels that do
    (Tranheden et al., DACS, WACV 2021), a keypoint by its confidence. With ``mask_ratio`` the student learns them a
    second time from the picture with that share of its squares blacked out (Hoyer et al., MIC, CVPR 2023).

    Args:
        threshold: Confidence that counts as sure.
        look: Change of look between the two views; null for `AppearanceAugmentation`. It must not move things.
        mask_ratio: Share of the squares that are blacked out for masked consistency; 0 for none of it.
        mask_cells: Squares along the longer side.
    """

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
        self.teacher = teacher
        self.stream_weights[MASKED] = self.stream_weights[TARGET]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return super().training_step(self.answered(batch), batch_idx)

    def answered(self, batch: Batch) -> Batch:
        """The batch with the teacher's answers, for the student's views."""
        assert self.ema is not None  # the base class always makes one
        target = batch[TARGET]
        with torch.no_grad():
            outputs = self.ema.module(target[IMAGE]).outputs
        answers: dict[str, Tensor] = {}
        for task in self.tasks:
            answers |= believed(task, outputs[task.name], target[IMAGE].shape[-2:], self.teacher.threshold)
        streams = {SOURCE: batch[SOURCE], TARGET: {IMAGE: target[IMAGE_STRONG], **answers}}
        if self.teacher.mask_ratio:
            masked = blacked_out(
                target[IMAGE_STRONG], self.teacher.mask_ratio, self.teacher.mask_cells, self.global_step
            )
            streams[MASKED] = {IMAGE: masked, **answers}
        return streams


def believed(task: Task, output: Tensor, size: torch.Size, threshold: float) -> dict[str, Tensor]:
    """A task's own labels for a batch and how much each counts; nothing for a task without confidence."""
    key = task.label_key
    if key == MASK:
        label, sure = task.pseudo_label(enlarge(output, size))
        return {key: label, weight_key(key): (sure >= threshold).float().mean((1, 2))}
    if key in (LABEL, KEYPOINTS):
        label, sure = task.pseudo_label(output)
        return {key: label, weight_key(key): sure if key == KEYPOINTS else (sure >= threshold).float()}
    return {}


def blacked_out(images: Tensor, ratio: float, cells: int, step: int) -> Tensor:
    """Images with squares set to black; which ones depends on the step alone."""
    height, width = images.shape[-2:]
    side = -(-max(height, width) // cells)
    generator = torch.Generator().manual_seed(derive_seed("squares", step))
    drawn = torch.rand(len(images), 1, -(-height // side), -(-width // side), generator=generator)
    kept = (drawn >= ratio).to(images).repeat_interleave(side, 2).repeat_interleave(side, 3)
    return images * kept[:, :, :height, :width]
