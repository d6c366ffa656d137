"""Decoder from a feature pyramid to one map an output, for segmentation, depth and keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class DenseHead(nn.Module):
    """Top-down sum of the pyramid, as in a feature pyramid network, then one value an output and pixel.

    Every level is projected to ``width`` channels; from the coarsest on the sum is enlarged to the next finer level and
    added there. Gives ``[B, outputs, h, w]`` at the finest level's resolution, at least float32. With ``context`` the
    pooled vector is added everywhere, so that a place can know what the whole image shows.

    Paper: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017; the sum over levels as in Kirillov et
    al., Panoptic Feature Pyramid Networks, CVPR 2019.

    Raises:
        ConfigError: an encoder without a pyramid.
    """

    def __init__(self, dim: int, channels: Sequence[int], outputs: int, width: int = 64, context: bool = True) -> None:
        super().__init__()
        if not channels:
            raise ConfigError("the encoder gives no feature maps", key="encoder", remedy="choose another backbone")
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.context = nn.Linear(dim, width) if context else None
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.out = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Features) -> Tensor:
        """Map of every output."""
        levels = [project(level) for project, level in zip(self.lateral, features.pyramid, strict=True)]
        x = levels[-1]
        if self.context is not None:
            x = x + self.context(features.pooled.to(x.dtype))[:, :, None, None]
        for finer in reversed(levels[:-1]):
            x = finer + enlarge(x, finer.shape[-2:])
        maps: Tensor = self.out(self.smooth(x))
        return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps ``[B, C, h, w]`` at another size, interpolated linearly."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
