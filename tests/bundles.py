"""Small encoders with weights that show every mistake, and their bundles, made once a process."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of
from perceptransfer.deploy import export
from perceptransfer.models import Encoder, KeypointEncoder
from tests.weights import randomise

# name -> encoder's name, options, size, camera
KINDS: dict[str, tuple[str, dict[str, Any], tuple[int, int] | None, tuple[int, int] | None]] = {
    "small_cnn": ("small_cnn", {"widths": [4, 8], "dim": 16}, None, None),
    "resnet": ("resnet18", {}, (32, 32), (24, 40)),
    "vit": ("vit_tiny_patch16_224", {"img_size": 32, "depth": 2, "embed_dim": 48}, None, None),
}


def make_encoder(name: str, options: dict[str, Any] | None = None) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(name, options=options)
    randomise(encoder)
    return encoder.eval()


def checkpoint_of(encoder: Encoder, **changes: Any) -> Checkpoint:
    """What a stage would return, heads included."""
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state["heads.class.layer.weight"] = torch.zeros(3, encoder.dim)
    return Checkpoint(**{"model": {"encoder": config_of(encoder), "tasks": []}, "state": state, **changes})


@functools.cache
def shared_bundle(kind: str) -> Path:
    """A bundle that no test may change; with int8 for the built-in network."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name, options, size, camera = KINDS[kind]
    checkpoint = checkpoint_of(make_encoder(name, options), meta={"stage": "pretrain"})
    export(checkpoint, folder / kind, size, camera=camera, int8=kind == "small_cnn", licence="CC-BY-4.0")
    return folder / kind


def own_bundle(kind: str, place: Path) -> Path:
    """A copy to be spoiled."""
    return Path(shutil.copytree(shared_bundle(kind), place / "bundle"))


def images_for(bundle: Path, count: int = 3, seed: int = 0) -> Tensor:
    """Noise of the bundle's size."""
    from perceptransfer.policy import read_contract

    spec = read_contract(bundle).images
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, spec.height, spec.width, 3), dtype=torch.uint8, generator=generator)


@functools.cache
def shared_pose_bundle() -> Path:
    """A small keypoint encoder of 96-pixel pictures: four keypoints, then the target's place, as reach has them."""
    from perceptransfer.robot.perception import pose_checkpoint  # needs the extra robot

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.manual_seed(0)
    options = {"widths": [4, 8], "dim": 4, "downsample": "stride", "pool": "avg"}
    net = KeypointEncoder(options=options, keypoints=4, pose=2, stride=4, width=4, hidden=4)
    export(pose_checkpoint(net), folder / "pose", (96, 96))
    return folder / "pose"
