"""Weights that keep all losses falling at one rate."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.weighting.base import Weighting

EPSILON = 1e-8


class FAMO(Weighting):
    """Fast adaptive multitask optimisation: descend on the logarithms of the losses, mixed by learnt shares.

    With shares ``z = softmax(ξ)`` the scalar is ``c Σ z_i log L_i`` where ``c = 1 / Σ (z_i / L_i)`` makes the weights
    ``c z_i / L_i`` on the losses sum to 1. After every step the losses of the same batch are taken once more, and Adam
    moves ξ towards the tasks whose logarithm fell least; ``decay`` pulls ξ back to equal shares. One extra forward
    pass a step, no gradient by task. Losses must not be negative.

    Paper: Liu, Feng, Stone, Liu, FAMO: Fast Adaptive Multitask Optimization, NeurIPS 2023, algorithm 1.

    Args:
        lr: Adam's learning rate for ξ.
        decay: L2 penalty on ξ, the paper's γ.
    """

    AFTER_STEP = True
    logits: Tensor
    first: Tensor
    second: Tensor
    before: Tensor
    steps: Tensor

    def __init__(self, lr: float = 0.025, decay: float = 0.001) -> None:
        super().__init__()
        if not (lr > 0 and decay >= 0):
            raise ConfigError(f"lr {lr} and decay {decay}", key="weighting.lr", remedy="lr above 0, decay 0 or more")
        self.lr, self.decay = lr, decay

    def start(self) -> None:
        for name in ("logits", "first", "second", "before"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        shares, distance = torch.softmax(self.logits, 0), losses + EPSILON
        if torch.is_grad_enabled():
            self.before.copy_(losses.detach())
        return (shares * distance.log()).sum() / (shares / distance).sum().detach()

    @torch.no_grad()
    def after_step(self, losses: Tensor) -> None:
        fell = (self.before + EPSILON).log() - (losses + EPSILON).log()
        shares = torch.softmax(self.logits, 0)
        # Transposed Jacobian of the softmax times what fell.
        gradient = shares * (fell - (shares * fell).sum()) + self.decay * self.logits
        self.steps += 1
        self.first.lerp_(gradient, 1 - 0.9)
        self.second.lerp_(gradient.square(), 1 - 0.999)
        mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        self.logits -= self.lr * mean / (square.sqrt() + EPSILON)
