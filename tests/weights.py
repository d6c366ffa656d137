"""Weights that show every mistake."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def randomise(module: nn.Module) -> None:
    """Untrained residual networks end their blocks with a norm of weight zero, which would hide half of the weights."""
    generator = torch.Generator().manual_seed(5)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm | nn.LayerNorm):
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
            layer.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(layer, _BatchNorm):
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
