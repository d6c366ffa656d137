"""Exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from perceptransfer.core.errors import ConfigError

_Tensors = list[Tensor] | tuple[Tensor, ...]


class EMA(AveragedModel):
    """Copy of a model, ``module``, whose weights follow it: ``ema = d * ema + (1 - d) * model`` at `update_parameters`.

    The first update copies. With ``warmup`` the decay d starts small, ``min(decay, (1 + n) / (10 + n))`` at update n,
    so that short runs are not held back by their initial weights. Floating buffers (batch-norm statistics) are
    averaged too, counters are copied. The copy takes no gradient and stays in evaluation mode.

    Paper: Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"EMA decay must lie in [0, 1), got {decay}", key="ema_decay")
        super().__init__(model, multi_avg_fn=_Average(decay, warmup), use_buffers=True)
        self.requires_grad_(False)
        self.eval()


class _Average:
    def __init__(self, decay: float, warmup: bool) -> None:
        self.decay, self.warmup = decay, warmup

    @torch.no_grad()
    def __call__(self, averages: _Tensors, current: _Tensors, updates: Tensor | int) -> None:
        # one call holds tensors of one dtype
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, current)
            return
        n = int(updates)
        decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
        torch._foreach_lerp_(averages, current, 1 - decay)
