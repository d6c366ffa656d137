"""Gradients without their conflicting parts."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from perceptransfer.core.seeding import derive_seed
from perceptransfer.weighting.base import GradientWeighting


class PCGrad(GradientWeighting):
    """Projecting conflicting gradients: a task's gradient loses the part that points against another task's.

    For each task the others are visited in random order; where the inner product with the gradient of another is
    negative, the projection onto that other gradient is taken away. The results are summed. The order is drawn from
    torch's seed at `build` and the number of the step.

    Paper: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, algorithm 1.
    """

    seed: Tensor
    steps: Tensor

    def start(self) -> None:
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def factors(self, gram: Tensor) -> Tensor:
        order = random.Random(derive_seed(int(self.seed), int(self.steps)))
        self.steps += 1
        return projected(gram, order).sum(0)


def projected(gram: Tensor, order: random.Random) -> Tensor:
    """Every task's projected gradient as coefficients ``[T, T]`` on the gradients whose inner products are ``gram``."""
    coefficients = torch.eye(len(gram), dtype=gram.dtype)
    for task, mine in enumerate(coefficients):
        others = [other for other in range(len(gram)) if other != task]
        order.shuffle(others)
        for other in others:
            inner = float(mine @ gram[:, other])
            if inner < 0:
                mine[other] -= inner / float(gram[other, other])
    return coefficients
