"""Training a keypoint encoder on labelled frames, with or without unlabeled frames of another look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from perceptransfer.alignment import AlignmentLoss
from perceptransfer.core.features import IMAGE, SOURCE, TARGET, Features
from perceptransfer.learning.optim import Optim
from perceptransfer.models import EMA, KeypointEncoder, take

KEYPOINTS, POSE = "keypoints", "pose"
PoseBatch = Mapping[str, Mapping[str, Tensor]]


class PoseModule(L.LightningModule):
    """Keypoints and pose from free labels, and an alignment loss between looks.

    A batch maps ``source`` to ``{"image": [B,3,H,W], "keypoints": [B,K,2], "pose": [B,P]}`` and, with an
    ``alignment``, ``target`` to ``{"image": ...}``. Keypoints run from -1 to 1 between the borders, those outside do
    not count. The loss adds three terms: cross-entropy of the score maps with a Gaussian of ``spread`` cells around
    the keypoint, Huber loss of the soft-argmax, and Huber loss of the pose in units of ``pose_unit``.

    Papers: Nibali et al., Numerical Coordinate Regression with Convolutional Neural Networks, 2018; Sun et al.,
    Integral Human Pose Regression, ECCV 2018.
    """

    def __init__(
        self,
        encoder: KeypointEncoder,
        optim: Optim,
        *,
        spread: float = 1.0,
        pose_unit: float = 0.01,
        pose_weight: float = 0.1,
        alignment: AlignmentLoss | None = None,
        weight: float = 1.0,
        warmup: float = 0.25,
        ema_decay: float | None = 0.99,
    ) -> None:
        super().__init__()
        self.encoder, self.optim, self.spread = encoder, optim, spread
        self.pose_unit, self.pose_weight = pose_unit, pose_weight
        self.alignment, self.weight, self.warmup = alignment, weight, warmup
        self.ema = EMA(encoder, ema_decay) if ema_decay is not None else None

    def training_step(self, batch: PoseBatch, batch_idx: int) -> Tensor:
        source = batch[SOURCE]
        if self.alignment is None:
            return self.pose_loss(self.encoder(source[IMAGE]), source)
        count = len(source[IMAGE])
        # One forward, so that batch norm sees the mixture of both looks.
        both = self.encoder(torch.cat([source[IMAGE], batch[TARGET][IMAGE]]))
        here, there = take(both, slice(0, count)), take(both, slice(count, None))
        progress = min(1.0, self.global_step / max(1, self.optim.steps))
        ramp = 1.0 if self.warmup <= 0 else min(1.0, progress / self.warmup)
        return self.pose_loss(here, source) + self.weight * ramp * self.alignment(here, there, progress=progress)

    def pose_loss(self, features: Features, labels: Mapping[str, Tensor]) -> Tensor:
        """The three terms on one labelled batch."""
        shares, keypoints = features.pyramid[-1], labels[KEYPOINTS]
        count = 2 * keypoints.shape[1]
        inside = (keypoints.abs() <= 1).all(2).to(shares.dtype)
        wanted = gaussian_maps(keypoints, shares.shape[-2], shares.shape[-1], self.spread)
        entropy = -(wanted * shares.clamp_min(1e-8).log()).sum((2, 3))
        places = features.pooled[:, :count].view(keypoints.shape)
        # In cells, so that the term weighs the same for maps of any size.
        off = smooth_l1_loss(places, keypoints, reduction="none").sum(2) * max(shares.shape[-2:])
        loss = ((entropy + off) * inside).sum() / inside.sum().clamp_min(1)
        if self.encoder.pose:
            pose = smooth_l1_loss(features.pooled[:, count:] / self.pose_unit, labels[POSE] / self.pose_unit)
            loss = loss + self.pose_weight * pose
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.ema is not None:
            self.ema.update_parameters(self.encoder)

    def final_encoder(self) -> KeypointEncoder:
        """The trained encoder: the moving average where one is kept."""
        return self.encoder if self.ema is None else cast(KeypointEncoder, self.ema.module)

    def configure_optimizers(self) -> Any:
        parameters = [*self.encoder.parameters(), *(self.alignment.parameters() if self.alignment is not None else ())]
        return self.optim.build(parameters)


def gaussian_maps(keypoints: Tensor, height: int, width: int, spread: float) -> Tensor:
    """Maps ``[B, K, height, width]`` that sum to one: a Gaussian of ``spread`` cells around keypoints ``[B, K, 2]``."""
    x, y = (
        (torch.arange(count, device=keypoints.device, dtype=keypoints.dtype) * 2 + 1) / count - 1
        for count in (width, height)
    )
    dx = (x - keypoints[..., :1]) * width / 2 / spread
    dy = (y - keypoints[..., 1:]) * height / 2 / spread
    logits = -0.5 * (dy.square()[..., :, None] + dx.square()[..., None, :])
    return logits.flatten(2).softmax(2).view(*keypoints.shape[:2], height, width)
