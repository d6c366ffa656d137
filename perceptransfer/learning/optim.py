"""Optimiser and schedule of one training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Optim:
    """AdamW (SGD with Nesterov momentum .9 on request) under a cosine or constant learning rate.

    ``warmup`` is the share of the steps over which the rate rises linearly. A training in parts, such as rounds, gives
    each part its ``start`` within the ``total`` steps, over which one schedule runs. Ramps are shares of the run, never
    absolute step counts, so that a shorter run is the same recipe.
    """

    steps: int
    lr: float = 1e-3
    weight_decay: float = 0.0
    name: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.0
    start: int = 0
    total: int | None = None

    def rate(self, step: int) -> float:
        """Factor on ``lr`` at a step."""
        step, total = self.start + step, self.total or self.steps
        warm = self.warmup * total
        if step < warm:
            return (step + 1) / (warm + 1)
        if self.schedule == "constant":
            return 1.0
        done = (step - warm) / max(1.0, total - warm)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    def build(self, parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
        """What `LightningModule.configure_optimizers` returns."""
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        # No weight decay on norms and biases (one-dimensional parameters): it only shifts their scale.
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        optimizer: torch.optim.Optimizer
        if self.name == "sgd":
            optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=0.9, nesterov=True)
        else:
            optimizer = torch.optim.AdamW(groups, lr=self.lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
