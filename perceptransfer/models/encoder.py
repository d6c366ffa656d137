"""Images in 0..1 to features: a timm backbone (or the built-in one) that carries its own normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features
from perceptransfer.models.backbone import LOCAL, build_backbone, folder_hashes, reads_weights
from perceptransfer.models.evalmode import keep_frozen_in_eval

MAX_LEVELS = 5


class Encoder(Configurable, nn.Module):
    """A backbone with its normalisation, ``[B, 3, H, W]`` float in 0..1 to `Features`.

    ``name`` is any timm name, ``local-dir:DIR`` (a folder with ``config.json`` and ``model.safetensors`` in timm's
    layout; its weights are always read) or ``small_cnn``; ``options`` go to its constructor (``img_size`` for a ViT on
    another image size). ``pretrained`` reads timm's published weights. ``dim`` is the length of ``pooled``,
    ``channels`` and ``strides`` describe the pyramid from fine to coarse; a backbone with one resolution (ViT) gives
    four maps from evenly spaced depths.

    Raises:
        ConfigError: an unknown name or option, or weights that cannot be read.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str = "small_cnn", pretrained: bool = False, options: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._weights: dict[str, str] = {}
        if name.startswith(LOCAL):
            self._weights = folder_hashes(name) if reads_weights() else {}
            # Where the folder lies does not change the result, what is in it does: see identity_extra.
            self.__dict__["NOT_IDENTITY"] = frozenset({"name"})
        self.backbone = build_backbone(name, pretrained, dict(options or {}))
        published: Mapping[str, Any] = self.backbone.pretrained_cfg
        if pretrained and not name.startswith(LOCAL):
            self._weights = {"weights": str(published.get("hf_hub_id") or published.get("url") or name)}
        # Persistent: the normalisation travels with the weights.
        self.register_buffer("mean", torch.tensor(published["mean"]).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(published["std"]).view(-1, 1, 1))
        levels = list(self.backbone.feature_info)
        self._levels = _choose_levels([level["reduction"] for level in levels])
        self.channels: list[int] = [levels[i]["num_chs"] for i in self._levels]
        self.strides: list[int] = [levels[i]["reduction"] for i in self._levels]
        self.dim: int = getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features

    def forward(self, images: Tensor) -> Features:
        """Features; ``pooled`` is at least float32 also under autocast.

        Raises:
            ConfigError: images that are not float ``[B, 3, H, W]``, or of a size that the backbone refuses.
        """
        last, maps = self._run(images)
        pooled = self.backbone.forward_head(last, pre_logits=True)
        return Features(pooled.float() if pooled.dtype in (torch.float16, torch.bfloat16) else pooled, maps)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """The pyramid alone, from fine to coarse. Raises as `forward`."""
        return self._run(images)[1]

    def _run(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The backbone's last map and the pyramid."""
        if images.ndim != 4 or images.shape[1] != len(self.mean) or not images.is_floating_point():
            raise ConfigError(
                f"images must be float [B, {len(self.mean)}, H, W] in 0..1, got {images.dtype} {tuple(images.shape)}",
                remedy="divide uint8 images by 255 and put channels first",
            )
        x = (images - self.mean) / self.std
        try:
            last, maps = self.backbone.forward_intermediates(x, indices=self._levels, output_fmt="NCHW")
        except AssertionError as error:  # how timm refuses an image size
            raise ConfigError(
                f"the encoder refuses images of {tuple(images.shape[-2:])}: {error}",
                key="encoder.options",
                remedy="set img_size in the options to the data's size, or the data's size to the encoder's",
            ) from error
        return last, tuple(maps)

    def train(self, mode: bool = True) -> Self:
        """As in torch, except that what is frozen stays in evaluation mode."""
        super().train(mode)
        keep_frozen_in_eval(self)
        return self

    def identity_extra(self) -> Mapping[str, Any]:
        """Hashes of a local folder's files, or the published weights' address."""
        return self._weights


def _choose_levels(strides: list[int]) -> list[int]:
    """Indices of the maps to hand on: the deepest of each resolution, or up to four depths where there is only one."""
    if len(set(strides)) == 1:
        count = min(4, len(strides))
        return [round((i + 1) * len(strides) / count) - 1 for i in range(count)]
    deepest = {stride: i for i, stride in enumerate(strides)}
    return sorted(deepest.values())
