"""What the benchmarks from pixels share: looks by name, and frames, encoders and bundles kept in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from perceptransfer.alignment import CORAL
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import instantiate
from perceptransfer.core.seeding import seed_everything
from perceptransfer.deploy import export
from perceptransfer.learning import Optim, Runtime
from perceptransfer.models import KeypointEncoder
from perceptransfer.policy import FrozenEncoder, load
from perceptransfer.robot.arrays import Pixels
from perceptransfer.robot.frames import Frames, draw_frames
from perceptransfer.robot.look import Look
from perceptransfer.robot.perception import pose_checkpoint, train_pose_encoder

CONFIGS = Path(__file__).parents[2] / "configs"
KEYS = ("image", "proprio")
WEIGHTS = "encoder.safetensors"
PARTS = {"reach": (4, 2), "push": (5, 4)}
"""Keypoints and numbers of pose that a world's frames are labelled with."""


def look(name: str) -> Look:
    """A shipped look by name, or a file."""
    return Look.read(CONFIGS / "looks" / f"{name}.yaml" if "/" not in name else name)


def pose_columns(world: str) -> slice:
    """The columns of the encoder's features that hold the pose; the keypoints come before them."""
    keypoints, pose = PARTS[world]
    return slice(2 * keypoints, 2 * keypoints + pose)


def frames(folder: Path, world: str, drawn_from: Look, count: int, workers: int) -> Frames:
    """Labelled frames of a look, kept in the folder."""
    path = folder / "frames.npz"
    if not path.exists():
        drawn = draw_frames(world, drawn_from, count, workers=workers)
        np.savez(path, images=drawn.images, keypoints=drawn.keypoints, pose=drawn.pose)
    with np.load(path) as stored:
        return Frames(**stored)


def encoder(folder: Path, steps: int, drawn: Frames, trained_on: str) -> Checkpoint:
    """The encoder pretrained on frames, kept in the folder."""
    path = folder / WEIGHTS
    if not path.exists():
        seed_everything(0)
        options = {"widths": [24, 48, 96, 128], "dim": 8, "downsample": "stride", "pool": "avg"}
        counts = {"keypoints": drawn.keypoints.shape[1], "pose": drawn.pose.shape[1]}
        net = KeypointEncoder("small_cnn", options=options, **counts, stride=4, width=48)

        def said(stage: str, step: int, of: int) -> None:
            if step % max(1, of // 20) == 0:
                print(f"{stage}: {step}/{of}", flush=True)

        optim, runtime = Optim(steps, 2e-3, 1e-4, warmup=0.05), Runtime("cpu", progress=said)
        net = train_pose_encoder(net.to(memory_format=torch.channels_last), drawn, optim, runtime=runtime)
        pose_checkpoint(net, {"trained_on": trained_on, "frames": len(drawn), "steps": steps}).save(path)
    return Checkpoint.load(path)


def aligned(
    folder: Path, found: Checkpoint, drawn: Frames, pictures: Pixels, steps: int, trained_on: str
) -> Checkpoint:
    """The encoder trained on, its features drawn to those of unlabeled pictures by CORAL, kept in the folder."""
    path = folder / WEIGHTS
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        net, optim = opened(found).to(memory_format=torch.channels_last), Optim(steps, 5e-4, 1e-4, warmup=0.05)
        net = train_pose_encoder(net, drawn, optim, seed=1, unlabeled=pictures, alignment=CORAL())
        pose_checkpoint(net, {"trained_on": trained_on, "unlabeled": len(pictures)}).save(path)
    return Checkpoint.load(path)


def opened(found: Checkpoint) -> KeypointEncoder:
    """The encoder of a checkpoint, in evaluation mode."""
    net: KeypointEncoder = instantiate(found.model["encoder"])
    net.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in found.state.items()})
    return net.eval()


def bundle(folder: Path, world: str, found: Checkpoint, trained_on: str) -> FrozenEncoder:
    """The exported encoder, kept in the folder; parity is checked on pictures of the source look."""
    path = folder / "bundle"
    if not path.exists():
        pictures = draw_frames(world, look("source"), 8, seed=2).images
        export(found, path, (96, 96), images=pictures, trained_on={"domain": trained_on})
    return load(path, "torch")


def pretrained(
    folder: Path, world: str, drawn_from: Look, trained_on: str, *, count: int, steps: int, workers: int
) -> FrozenEncoder:
    """An encoder pretrained on ``count`` frames of a look and exported; what is in the folder is not made again."""
    if (folder / "bundle").exists():
        return load(folder / "bundle", "torch")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = frames(folder, world, drawn_from, count, workers)
    return bundle(folder, world, encoder(folder, steps, drawn, trained_on), trained_on)
