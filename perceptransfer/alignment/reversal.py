"""Gradient reversal: identity forwards, minus lambda backwards."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * grad, None


def reverse_gradient(x: Tensor, scale: float) -> Tensor:
    """``x`` itself, with a backward pass multiplied by ``-scale``.

    Paper: Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015.
    """
    result: Tensor = _Reverse.apply(x, scale)
    return result


def ramped(top: float, ramp: float, progress: float) -> float:
    """``top * (2 / (1 + exp(-ramp * progress)) - 1)``, from 0 towards ``top``; with ``ramp = 0`` it is ``top``."""
    return top * (2 / (1 + math.exp(-ramp * progress)) - 1 if ramp else 1.0)
