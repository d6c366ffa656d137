"""What the reach benchmarks share: looks by name, frames and encoders kept in folders, and what a head sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.seeding import seed_everything
from perceptransfer.deploy import export
from perceptransfer.learning import Optim, Runtime
from perceptransfer.models import KeypointEncoder
from perceptransfer.policy import FrozenEncoder, load
from perceptransfer.robot.frames import Frames, draw_frames
from perceptransfer.robot.look import Look
from perceptransfer.robot.perception import pose_checkpoint, train_pose_encoder

CONFIGS = Path(__file__).parents[2] / "configs"
WEIGHTS = "encoder.safetensors"
KEYS = ("image", "proprio")
POSE = slice(8, 10)  # what the head sees of ten features: four keypoints come before the target's place


def look(name: str) -> Look:
    """A shipped look by name, or a file."""
    return Look.read(CONFIGS / "looks" / f"{name}.yaml" if "/" not in name else name)


def pretrained(
    folder: Path, drawn_from: Look, trained_on: str, *, count: int, steps: int, workers: int
) -> FrozenEncoder:
    """An encoder pretrained on ``count`` frames of a look and exported; what is in the folder is not made again.

    Parity is checked on pictures of the source look.
    """
    if not (folder / "bundle").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / WEIGHTS).exists():
            _train(_frames(folder / "frames.npz", drawn_from, count, workers), steps, trained_on).save(folder / WEIGHTS)
        pictures = draw_frames("reach", look("source"), 8, seed=2).images
        found = Checkpoint.load(folder / WEIGHTS)
        export(found, folder / "bundle", (96, 96), images=pictures, trained_on={"domain": trained_on})
    return load(folder / "bundle", "torch")


def _frames(path: Path, drawn_from: Look, count: int, workers: int) -> Frames:
    if not path.exists():
        drawn = draw_frames("reach", drawn_from, count, workers=workers)
        np.savez(path, images=drawn.images, keypoints=drawn.keypoints, pose=drawn.pose)
    with np.load(path) as stored:
        return Frames(**stored)


def _train(drawn: Frames, steps: int, trained_on: str) -> Checkpoint:
    seed_everything(0)
    options = {"widths": [24, 48, 96, 128], "dim": 8, "downsample": "stride", "pool": "avg"}
    net = KeypointEncoder("small_cnn", options=options, keypoints=4, pose=2, stride=4, width=48)

    def said(stage: str, step: int, of: int) -> None:
        if step % max(1, of // 20) == 0:
            print(f"{stage}: {step}/{of}", flush=True)

    optim, runtime = Optim(steps, 2e-3, 1e-4, warmup=0.05), Runtime("cpu", progress=said)
    net = train_pose_encoder(net.to(memory_format=torch.channels_last), drawn, optim, runtime=runtime)
    return pose_checkpoint(net, {"trained_on": trained_on, "frames": len(drawn), "steps": steps})
