"""``config.json`` and ``model.safetensors``: the weights where timm, and so the Hugging Face world, looks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import timm
import torch
from torch import Tensor

from perceptransfer.core.config import config_of
from perceptransfer.core.errors import ConfigError, ParityError
from perceptransfer.core.files import write_atomic
from perceptransfer.models import Encoder
from perceptransfer.models.backbone import LOCAL

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def write_weights(encoder: Encoder, folder: Path, size: tuple[int, int]) -> bool:
    """Write the backbone's weights and how to build it; return whether timm can.

    A network that timm has no name for (the built-in one, or one without intermediates that is read through
    ``features_only``) gets a ``config.json`` with the encoder's own configuration under ``perceptransfer`` instead, and
    no ``architecture``, so that timm refuses the folder rather than building something else. So does an encoder that
    is more than its backbone; then the file holds all of its weights.
    """
    backbone: Any = encoder.backbone
    architecture = backbone.pretrained_cfg.get("architecture")
    more = type(encoder) is not Encoder
    known = not more and architecture is not None and hasattr(backbone, "default_cfg")
    if known:
        config: dict[str, Any] = {
            "architecture": architecture,
            "num_classes": 0,
            "num_features": encoder.dim,
            "model_args": _model_args(encoder),
            "pretrained_cfg": {
                "input_size": [len(encoder.mean), *size],
                "mean": encoder.mean.flatten().tolist(),
                "std": encoder.std.flatten().tolist(),
                "crop_pct": 1.0,
                "crop_mode": "squash",
                "num_classes": 0,
                "license": "other",
            },
        }
    else:
        config = {"perceptransfer": config_of(encoder)}
    write_atomic(folder / CONFIG, json.dumps(config, indent=1) + "\n")
    state = {name: tensor.contiguous() for name, tensor in (encoder if more else backbone).state_dict().items()}
    # The metadata is what transformers asks for before it reads a file.
    write_atomic(folder / WEIGHTS, safetensors.torch.save(state, metadata={"format": "pt"}))
    return known


def _model_args(encoder: Encoder) -> dict[str, Any]:
    """Constructor arguments, those of the folder that the encoder itself was read from included."""
    arguments = config_of(encoder)["init_args"]
    name = str(arguments["name"])
    inherited: dict[str, Any] = {}
    if name.startswith(LOCAL):
        inherited = json.loads((Path(name.removeprefix(LOCAL)) / CONFIG).read_text()).get("model_args", {})
    return {**inherited, **(arguments["options"] or {})}


@torch.no_grad()
def check_timm(folder: Path, encoder: Encoder, images: Tensor) -> None:
    """Build the folder's model with timm and compare its features bit by bit; ``images`` are float in 0..1.

    Raises:
        ParityError: any feature differs.
        ConfigError: timm cannot read the folder.
    """
    try:
        model = cast(Any, timm.create_model(f"{LOCAL}{folder}", pretrained=True).eval())
    except Exception as error:  # as many kinds as timm has models
        raise ConfigError(
            f"timm cannot read what was written ({type(error).__name__}: {error})", where=folder
        ) from error
    x = (images - encoder.mean) / encoder.std
    found = model.forward_head(model.forward_features(x), pre_logits=True)
    if not torch.equal(found, encoder(images).pooled):
        raise ParityError("timm's features are not the encoder's", where=folder, remedy="report the encoder's name")
