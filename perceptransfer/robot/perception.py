"""Pretrain a keypoint encoder on free labels, and measure it before it is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perceptransfer.alignment import AlignmentLoss, Shapes
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of
from perceptransfer.core.errors import DataError
from perceptransfer.core.features import IMAGE, SOURCE, TARGET
from perceptransfer.core.seeding import derive_seed, seed_everything
from perceptransfer.learning import Optim, PoseModule, Runtime, fit
from perceptransfer.learning.pose import KEYPOINTS, POSE
from perceptransfer.models import KeypointEncoder
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.frames import Frames


def train_pose_encoder(
    encoder: KeypointEncoder,
    frames: Frames,
    optim: Optim,
    *,
    batch_size: int = 64,
    seed: int = 0,
    unlabeled: Pixels | None = None,
    alignment: AlignmentLoss | None = None,
    weight: float = 1.0,
    runtime: Runtime | None = None,
) -> KeypointEncoder:
    """Train on labelled frames and return the moving average of the weights, in evaluation mode.

    With an ``alignment`` loss the features of as many ``unlabeled`` pictures, of the target's look, are drawn to those
    of the frames.

    Raises:
        DataError: frames with other counts of keypoints or pose than the encoder's, or alignment without pictures.
        DivergedError: the loss became NaN or infinite.
    """
    found = frames.keypoints.shape[1], frames.pose.shape[1]
    if found != (encoder.keypoints, encoder.pose):
        raise DataError(
            f"frames have {found[0]} keypoints and {found[1]} numbers of pose, the encoder {encoder.keypoints} and "
            f"{encoder.pose}",
            key="encoder.keypoints",
        )
    if (alignment is None) != (unlabeled is None):
        raise DataError("alignment and unlabeled pictures go together", key="unlabeled", remedy="give both or neither")
    seed_everything(derive_seed(seed, "pose"))
    if alignment is not None:
        alignment.prepare(Shapes(encoder.dim, 0))
    module = PoseModule(encoder, optim, alignment=alignment, weight=weight)
    feed = _batches(frames, unlabeled, optim.steps, batch_size, seed)
    fit(module, feed, stage="pose", steps=optim.steps, runtime=runtime or Runtime("cpu"))
    return module.final_encoder().eval()


def _batches(
    frames: Frames, unlabeled: Pixels | None, steps: int, batch_size: int, seed: int
) -> Iterator[Mapping[str, Mapping[str, Tensor]]]:
    rng = np.random.default_rng(derive_seed(seed, "frames"))
    keypoints, pose = torch.from_numpy(frames.keypoints), torch.from_numpy(frames.pose)
    for _ in range(steps):
        rows = rng.integers(0, len(frames), batch_size)
        source = {IMAGE: to_images(frames.images[rows]), KEYPOINTS: keypoints[rows], POSE: pose[rows]}
        if unlabeled is None:
            yield {SOURCE: source}
        else:
            yield {SOURCE: source, TARGET: {IMAGE: to_images(unlabeled[rng.integers(0, len(unlabeled), batch_size)])}}


def to_images(pixels: Pixels) -> Tensor:
    """``uint8 [B, H, W, 3]`` as the encoder wants it."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return images.contiguous(memory_format=torch.channels_last)


def encode(encoder: KeypointEncoder, pixels: Pixels, batch_size: int = 256) -> Tensor:
    """Features ``[n, D]`` of pictures ``uint8 [n, H, W, 3]``."""
    with torch.inference_mode():
        parts = [
            encoder(to_images(pixels[i : i + batch_size])).pooled.clone() for i in range(0, len(pixels), batch_size)
        ]
    return torch.cat(parts)


@dataclass(frozen=True)
class PoseErrors:
    """Mean distance of each keypoint in pixels, over those in the picture; mean and 90th percentile of the target's
    distance in m, and mean of the puck's (None: there is none).
    """  # noqa: D205 - one sentence

    keypoints: tuple[float, ...]
    target: float
    target_p90: float
    puck: float | None = None


def pose_errors(encoder: KeypointEncoder, frames: Frames) -> PoseErrors:
    """How far off the encoder is on labelled frames."""
    features = encode(encoder, frames.images).numpy()
    count = 2 * encoder.keypoints
    places = features[:, :count].reshape(frames.keypoints.shape)
    pixels = np.hypot(*np.moveaxis(places - frames.keypoints, 2, 0)) * frames.images.shape[1] / 2
    inside = (np.abs(frames.keypoints) <= 1).all(2)
    wrong = features[:, count:] - frames.pose
    off = np.hypot(*wrong[:, :2].T)
    puck = float(np.hypot(*wrong[:, 2:4].T).mean()) if wrong.shape[1] >= 4 else None
    means = np.where(inside, pixels, 0).sum(0) / np.maximum(inside.sum(0), 1)
    return PoseErrors(tuple(means.tolist()), float(off.mean()), float(np.quantile(off, 0.9)), puck)


def look_shift(encoder: KeypointEncoder, one: Pixels, other: Pixels) -> float:
    """How far features move when only the look changes: ``one[i]`` and ``other[i]`` show the same state.

    Mean distance between the looks over the mean distance between states of one look, each feature in units of its
    standard deviation there: 0 is invariant, 1 means that a change of look moves features as far as another state.
    """
    here, there = encode(encoder, one).numpy(), encode(encoder, other).numpy()
    unit = np.maximum(here.std(0), 1e-6)
    here, there = here / unit, there / unit
    between = np.linalg.norm(here - np.roll(here, 1, axis=0), axis=1).mean()
    return float(_mean_distance(here, there) / between)


def _mean_distance(one: Floats, other: Floats) -> float:
    return float(np.linalg.norm(one - other, axis=1).mean())


def pose_checkpoint(encoder: KeypointEncoder, meta: Mapping[str, Any] | None = None) -> Checkpoint:
    """The encoder as a checkpoint without heads, from which `perceptransfer.deploy.export` makes a bundle."""
    state = {f"encoder.{name}": tensor.detach().cpu().clone() for name, tensor in encoder.state_dict().items()}
    return Checkpoint({"encoder": config_of(encoder), "tasks": []}, state, dict(meta or {}))
