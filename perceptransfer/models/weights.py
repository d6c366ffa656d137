"""Arithmetic on state dicts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """``(1 - alpha) start + alpha end`` for every floating tensor; counters come from ``end``.

    ``alpha`` 0 and 1 give the end points bit by bit. With ``start`` before and ``end`` after fine-tuning this is
    WiSE-FT, whose middle values are often better than both ends under a shift. Batch-norm statistics are
    interpolated too; re-estimate them when there is data to do it with.

    Paper: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.

    Raises:
        ConfigError: different names or shapes, or alpha outside 0..1.
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"the interpolation weight must lie in 0..1, got {alpha}", key="alpha")
    _require_same(start, end)
    if alpha in (0, 1):
        return {name: tensor.detach().clone() for name, tensor in (end if alpha else start).items()}
    return {
        name: torch.lerp(start[name].detach(), tensor.detach(), alpha)
        if tensor.is_floating_point()
        else tensor.detach().clone()
        for name, tensor in end.items()
    }


def l2_distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Euclidean distance of the weights in float64; batch-norm statistics and counters do not count.

    Raises:
        ConfigError: different names or shapes.
    """
    _require_same(a, b)
    total = torch.zeros((), dtype=torch.float64)
    for name, tensor in a.items():
        if tensor.is_floating_point() and not name.endswith(_STATISTICS):
            total += (tensor.detach().double() - b[name].detach().double()).square().sum().cpu()
    return float(total.sqrt())


def _require_same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    differing = sorted(a.keys() ^ b.keys()) or sorted(name for name in a if a[name].shape != b[name].shape)
    if differing:
        raise ConfigError(
            f"the two models have different weights: {', '.join(differing[:3])}",
            remedy="use checkpoints of one architecture; merge LoRA before comparing",
        )
