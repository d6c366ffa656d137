"""Decoder from a feature pyramid to one map an output, for segmentation, depth and keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class DenseHead(nn.Module):
    """Top-down path over the pyramid, as in a feature pyramid network, then one value an output and pixel.

    Every level is projected to ``width`` channels. From the coarsest on the maps are enlarged to the next finer level,
    added there and smoothed by a 3x3 convolution. Gives ``[B, outputs, h, w]`` at the finest level's resolution, at
    least float32. With ``context`` the pooled vector scales and shifts the coarsest level, so that a place can know
    what the whole image shows.

    Papers: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017; scale and shift after Perez et al.,
    FiLM, AAAI 2018.

    Raises:
        ConfigError: an encoder without a pyramid.
    """

    def __init__(self, dim: int, channels: Sequence[int], outputs: int, width: int = 64, context: bool = True) -> None:
        super().__init__()
        if not channels:
            raise ConfigError("the encoder gives no feature maps", key="encoder", remedy="choose another backbone")
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.context = nn.Linear(dim, 2 * width) if context else None
        self.smooth = nn.ModuleList(_smooth(width) for _ in channels)
        self.out = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Features) -> Tensor:
        """Map of every output."""
        levels = [project(level) for project, level in zip(self.lateral, features.pyramid, strict=True)]
        x = levels[-1]
        if self.context is not None:
            scale, shift = self.context(features.pooled.to(x.dtype))[:, :, None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
        x = self.smooth[-1](x)
        for finer, smooth in zip(reversed(levels[:-1]), list(self.smooth)[-2::-1], strict=True):
            x = smooth(finer + enlarge(x, finer.shape[-2:]))
        maps: Tensor = self.out(x)
        return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def _smooth(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps ``[B, C, h, w]`` at another size, interpolated linearly."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
