"""The image backbone of a LeRobot ACT policy, which itself takes torchvision's ResNets only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy.adapters.floats import to_bytes
from perceptransfer.policy.bundle import Backend, load_encoder

KEY = "feature_map"


class BundleBackbone(nn.Module):
    """Float images ``[B, 3, H, W]`` in 0..1 to ``{"feature_map": [B, C, h, w]}``, as ACT's own backbone gives it."""

    def __init__(self, bundle: str | Path, backend: Backend = "torch") -> None:
        super().__init__()
        self.encoder = load_encoder(bundle, backend)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Spatial features."""
        return {KEY: self.encoder(to_bytes(images)).spatial}


def swap_act_backbone(policy: Any, bundle: str | Path, backend: Backend = "torch") -> BundleBackbone:
    """Put the bundle's encoder into an ``ACTPolicy`` (tried with lerobot 0.4.4) and return it.

    Call it before an optimiser is made: the projection behind the backbone is made anew where the number of channels
    differs. The backbone stays frozen through ``policy.train()``, batch-norm statistics included. To load a saved
    policy, make one from its configuration, call this, then ``safetensors.torch.load_model``: ``from_pretrained``
    builds a ResNet again and, where that has as many channels, leaves it random with no more than a warning.

    Raises:
        ConfigError: the policy has no image backbone, its images have another size than the bundle's, or its
            configuration normalises images, which the bundle does itself.
        BundleError: as in `load_encoder`.
    """
    model, config = policy.model, policy.config
    if not hasattr(model, "backbone"):
        raise ConfigError("the policy has no image backbone", key="input_features", remedy="give it an image feature")
    mode = config.normalization_mapping.get("VISUAL")
    if mode is not None and getattr(mode, "value", mode) != "IDENTITY":
        raise ConfigError(
            f"the policy normalises its images ({getattr(mode, 'value', mode)}) and the bundle would do it again",
            key="normalization_mapping.VISUAL",
            remedy="set it to IDENTITY before the policy and its processors are made",
        )
    backbone = BundleBackbone(bundle, backend)
    spec = backbone.encoder.transform
    for name, feature in config.image_features.items():
        if tuple(feature.shape) != (3, spec.height, spec.width):
            raise ConfigError(
                f"{name} is {list(feature.shape)}, the bundle takes [3, {spec.height}, {spec.width}]",
                key=f"input_features.{name}",
                remedy="export with camera=(height, width) of these images",
            )
    projection = cast(nn.Conv2d, model.encoder_img_feat_input_proj)
    if projection.in_channels != backbone.encoder.spatial_shape[0]:
        made = nn.Conv2d(backbone.encoder.spatial_shape[0], projection.out_channels, kernel_size=1)
        model.encoder_img_feat_input_proj = made.to(projection.weight.device)
    model.backbone = backbone
    return backbone
