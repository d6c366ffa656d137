"""The encoder of a checkpoint, ready to be exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError, StoreError
from perceptransfer.models import Encoder, without_pretrained_weights
from perceptransfer.models.backbone import LOCAL
from perceptransfer.policy.image_spec import CHANNELS

PREFIX = "encoder."


def read_checkpoint(checkpoint: Checkpoint | str | Path) -> Checkpoint:
    """The checkpoint itself or the one in a file.

    Raises:
        StoreError: the file is missing or damaged.
        ConfigError: it holds no weights yet.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint.load(Path(checkpoint))
    if not found.state:
        raise ConfigError("the checkpoint holds no weights", remedy="export what a stage returned")
    return found


def build_encoder(checkpoint: Checkpoint) -> Encoder:
    """The encoder without its heads, frozen and in evaluation mode.

    Raises:
        StoreError: weights that do not fit the architecture, LoRA adapters that were not merged among them.
    """
    state = {name.removeprefix(PREFIX): value for name, value in checkpoint.state.items() if name.startswith(PREFIX)}
    with without_pretrained_weights():
        encoder: Encoder = instantiate(checkpoint.model["encoder"])
    adapters = any("lora_" in name for name in state)
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise StoreError(
            "the checkpoint's LoRA adapters are not merged" if adapters else f"weights do not fit the encoder: {error}",
            remedy="merge the adapters first" if adapters else "use the checkpoint with the config it came from",
        ) from error
    if len(encoder.mean) != CHANNELS:
        raise ConfigError(f"the encoder takes {len(encoder.mean)} channels", remedy="only RGB encoders are exported")
    # Parameters that take gradients would be traced with them.
    return encoder.eval().requires_grad_(False)


def public_name(encoder: Encoder) -> str:
    """The encoder's name; for one from a local folder its architecture, since the folder's place says nothing."""
    backbone: Any = encoder.backbone
    name = str(config_of(encoder)["init_args"]["name"])
    return str(backbone.pretrained_cfg.get("architecture", name)) if name.startswith(LOCAL) else name


def image_size(encoder: Encoder, size: Sequence[int] | None) -> tuple[int, int]:
    """Height and width that the encoder is exported for: the given ones, or the only ones that it takes.

    Raises:
        ConfigError: not two positive numbers, or none given for an encoder that takes any size.
    """
    if size is not None:
        return pair(size, "size")
    backbone: Any = encoder.backbone
    if getattr(backbone, "pool", None) == "flatten":
        return pair(backbone.image_size, "size")
    grid = getattr(getattr(backbone, "patch_embed", None), "img_size", None)
    if grid is None:
        raise ConfigError(
            "this encoder takes images of any size",
            key="size",
            remedy="give the height and width that it was trained on: on others its features mean something else",
        )
    return pair(grid, "size")


def pair(size: Sequence[int], key: str) -> tuple[int, int]:
    """Height and width.

    Raises:
        ConfigError: not two positive whole numbers.
    """
    if len(size) != 2 or any(int(length) != length or length < 1 for length in size):
        raise ConfigError(f"{list(size)} is no image size", key=key, remedy="give height and width in pixels")
    return int(size[0]), int(size[1])
