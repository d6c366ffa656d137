"""The built-in network for images of 32 to 64 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError

Downsample = Literal["max", "stride", "stem"]


class SmallCNN(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU and pooling, then one bottleneck layer.

    Blocks halve height and width by ``downsample``: ``max`` pooling; ``stride`` of their first convolution, at a third
    of the cost and enough for 32 px; or ``stem``, for larger images: the first block convolves with stride 2 and
    pools (a quarter in all), the last keeps its size, the others pool. The first convolution is 5x5 where it strides,
    so that no pixel is passed over. ``pool`` says how the last map becomes a vector: ``flatten`` (keeps places, needs
    ``image_size``), ``avg``, or ``avgmax`` (mean and maximum side by side). The bottleneck is a linear layer to
    ``dim`` with batch normalisation, ReLU and ``dropout``. Speaks the part of timm's interface that `Encoder` reads.
    """

    pretrained_cfg: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # noqa: RUF012 - as in timm

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64),
        dim: int = 256,
        convs_per_block: int = 1,
        pool: Literal["flatten", "avg", "avgmax"] = "flatten",
        image_size: Sequence[int] = (32, 32),
        dropout: float = 0.0,
        downsample: Downsample = "max",
    ) -> None:
        super().__init__()
        if downsample not in get_args(Downsample):
            raise ConfigError(
                f"unknown downsample {downsample!r}", key="encoder.options.downsample", remedy="max, stride or stem"
            )
        if not widths or min(*widths, dim, convs_per_block) < 1:
            raise ConfigError("widths, dim and convs_per_block must be positive", key="encoder.options")
        if pool not in ("flatten", "avg", "avgmax"):
            raise ConfigError(f"unknown pool {pool!r}", key="encoder.options.pool", remedy="flatten, avg or avgmax")
        halvings = _halvings(len(widths), downsample)
        stride = 2 ** sum(halvings)
        if pool == "flatten" and min(image_size) < stride:
            raise ConfigError(
                f"images of {tuple(image_size)} are too small for a stride of {stride}", key="encoder.options.widths"
            )
        self.pool, self.image_size = pool, tuple(image_size)
        self.blocks = nn.ModuleList()
        channels = 3
        for i, (width, times) in enumerate(zip(widths, halvings, strict=True)):
            strided = downsample == "stride" or (downsample == "stem" and i == 0)
            self.blocks.append(_block(channels, width, convs_per_block, strided, times - strided, 5 if not i else 3))
            channels = width
        places = (self.image_size[0] // stride) * (self.image_size[1] // stride)
        flat = channels * {"flatten": places, "avg": 1, "avgmax": 2}[pool]
        self.bottleneck = nn.Sequential(
            nn.Linear(flat, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU(), nn.Dropout(dropout)
        )
        self.num_features = dim
        self.feature_info = [
            {"num_chs": width, "reduction": 2 ** sum(halvings[: i + 1])} for i, width in enumerate(widths)
        ]

    def forward_intermediates(
        self, x: Tensor, indices: list[int] | None = None, output_fmt: str = "NCHW"
    ) -> tuple[Tensor, list[Tensor]]:
        """Last map and the maps of the blocks in ``indices`` (all by default)."""
        if self.pool == "flatten" and tuple(x.shape[-2:]) != self.image_size:
            raise ConfigError(
                f"small_cnn was built for images of {self.image_size} and got {tuple(x.shape[-2:])}",
                key="encoder.options.image_size",
                remedy="set image_size to the data's size, or pool to avgmax",
            )
        maps: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return x, maps if indices is None else [maps[i] for i in indices]

    def forward_head(self, x: Tensor, pre_logits: bool = True) -> Tensor:
        """Vector ``[B, dim]`` of a last map."""
        if self.pool == "flatten":
            flat = x.flatten(1)
        elif self.pool == "avg":
            flat = x.mean((2, 3))
        else:
            flat = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        vector: Tensor = self.bottleneck(flat)
        return vector

    def forward(self, x: Tensor) -> Tensor:
        """Vector ``[B, dim]`` of normalised images ``[B, 3, H, W]``."""
        return self.forward_head(self.forward_intermediates(x)[0])

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Blocks in order of depth, the bottleneck last."""
        return {"blocks": r"^blocks\.(\d+)", "bottleneck": r"^bottleneck"}


def _halvings(blocks: int, downsample: Downsample) -> list[int]:
    """How often each block halves its input."""
    if downsample == "stem" and blocks > 1:
        return [2, *[1] * (blocks - 2), 0]
    return [2 if downsample == "stem" else 1] * blocks


def _block(channels: int, width: int, convs: int, strided: bool, pools: int, stride_kernel: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convs):
        kernel, stride = (stride_kernel, 2) if strided and i == 0 else (3, 1)
        inputs = channels if i == 0 else width
        layers += [
            nn.Conv2d(inputs, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, *[nn.MaxPool2d(2) for _ in range(pools)])
