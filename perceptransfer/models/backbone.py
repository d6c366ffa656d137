"""Finding and loading a backbone by name, with errors that name the remedy."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import sha256_file
from perceptransfer.models.small_cnn import SmallCNN

LOCAL = "local-dir:"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_read_weights: ContextVar[bool] = ContextVar("read_weights", default=True)


@contextlib.contextmanager
def without_pretrained_weights() -> Iterator[None]:
    """Build architectures only, because a checkpoint's weights are loaded into them right after."""
    token = _read_weights.set(False)
    try:
        yield
    finally:
        _read_weights.reset(token)


def reads_weights() -> bool:
    """False inside `without_pretrained_weights`."""
    return _read_weights.get()


def build_backbone(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    """Module that answers timm's ``forward_intermediates``, ``forward_head``, ``feature_info``, ``pretrained_cfg``.

    Raises:
        ConfigError: an unknown name or option, or weights that cannot be read.
    """
    if name == "small_cnn":
        if pretrained:
            raise ConfigError("small_cnn has no pretrained weights", key="encoder.pretrained", remedy="set it to false")
        return _checked(name, SmallCNN, options)
    local, hub = name.startswith(LOCAL), name.startswith("hf-hub:")
    if not local and not hub:
        _require_known(name)
    if local or hub or pretrained:
        return _read(name, reads_weights() and (pretrained or local), options, local)
    return _checked(name, _create, {"name": name, "pretrained": False, "options": options})


def _require_known(name: str) -> None:
    base, _, tag = name.partition(".")
    published = timm.list_pretrained(f"{base}.*") if tag and timm.is_model(base) else []
    if name in published or (not tag and timm.is_model(name)):
        return
    near = difflib.get_close_matches(name, published or ["small_cnn", *timm.list_models()], n=3, cutoff=0.5)
    raise ConfigError(
        f"unknown encoder {name!r}",
        key="encoder.name",
        remedy=(f"did you mean {', '.join(near)}? " if near else "") + "timm.list_models() lists the names",
    )


def _checked(name: str, make: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return make(**arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"{name} refuses its options: {error}", key="encoder.options", remedy="see the constructor's arguments"
        ) from error


def _read(name: str, weights: bool, options: dict[str, Any], local: bool) -> Any:
    try:
        return _create(name, weights, options)
    except Exception as error:  # downloads fail in the ways of httpx, urllib, huggingface_hub, safetensors and timm
        raise ConfigError(
            f"cannot read the pretrained model {name} ({type(error).__name__}: {error})",
            key="encoder.name" if local else "encoder.pretrained",
            remedy="check the folder's files and the options"
            if local
            else "name a downloaded folder as local-dir:DIR, or set pretrained: false",
        ) from error


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    model: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    if hasattr(model, "forward_intermediates"):
        return model
    network = timm.create_model(name, pretrained=pretrained, features_only=True, **options)
    return FeatureList(network, model.pretrained_cfg)


def folder_hashes(name: str) -> dict[str, str]:
    """SHA-256 of what decides a local folder's model: ``config`` and ``weights``.

    Raises:
        ConfigError: the folder lacks ``config.json`` or the weights.
    """
    folder = Path(name.removeprefix(LOCAL))
    config, weights = folder / "config.json", [folder / file for file in WEIGHT_FILES]
    found = next((path for path in weights if path.is_file()), None)
    if found is None or not config.is_file():
        raise ConfigError(
            "not a model folder",
            where=folder,
            key="encoder.name",
            remedy="give a folder with config.json and model.safetensors, as timm writes for the hub",
        )
    return {"config": sha256_file(config), "weights": sha256_file(found)}


class FeatureList(nn.Module):
    """timm's ``features_only`` network behind the same interface, for the few models without intermediates."""

    def __init__(self, network: Any, pretrained_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.pretrained_cfg = network, pretrained_cfg
        self.feature_info: list[dict[str, Any]] = list(network.feature_info.get_dicts())
        self.num_features: int = self.feature_info[-1]["num_chs"]

    def forward_intermediates(
        self, x: Tensor, indices: list[int] | None = None, output_fmt: str = "NCHW"
    ) -> tuple[Tensor, list[Tensor]]:
        """Last map and the chosen maps."""
        maps: list[Tensor] = self.network(x)
        return maps[-1], maps if indices is None else [maps[i] for i in indices]

    def forward_head(self, x: Tensor, pre_logits: bool = True) -> Tensor:
        """Global average of a last map ``[B, C, H, W]``."""
        return x.mean((2, 3))
