"""How the tasks of one model share a training: their losses weighted, their gradients compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.learning.gradients import inner_products, mixed, shared_parameters, task_gradients
from perceptransfer.models import PerceptionModel
from perceptransfer.tasks import Task
from perceptransfer.weighting import GradientWeighting, MultiTaskLog, Static, Weighting


class Sharing(nn.Module):
    """One scalar of the tasks' losses by a `Weighting` (their plain sum by default), and a log of how they got on.

    A `GradientWeighting` changes the encoder's gradient only: heads, and losses that are no task's (alignment), keep
    theirs. What it takes away or adds is computed in `total` and put into ``.grad`` by `correct` after the backward
    pass, so that one optimiser under automatic optimisation serves every method.
    """

    def __init__(self, tasks: Sequence[Task], weighting: Weighting | None, log: MultiTaskLog | None) -> None:
        super().__init__()
        self.weighting, self.log = weighting or Static(), log or MultiTaskLog()
        self.weighting.build([task.name for task in tasks], [task.name for task in tasks if task.regression])
        self._corrections: list[tuple[nn.Parameter, Tensor]] = []

    def check_precision(self, precision: str) -> None:
        """Refuse half precision with scaled losses for a method that reads gradients.

        Raises:
            ConfigError: such a combination.
        """
        if isinstance(self.weighting, GradientWeighting) and precision == "16-mixed":
            raise ConfigError(
                f"{type(self.weighting).__name__} reads gradients, which 16-mixed scales",
                key="precision",
                remedy="use 32-true or bf16-mixed",
            )

    def total(
        self, losses: Mapping[str, Tensor], model: PerceptionModel, *, step: int, steps: int, progress: float
    ) -> Tensor:
        """The scalar to minimise at one of ``steps`` steps."""
        total = self.weighting(losses, progress=progress)
        due, by_gradient = self.log.due(step, steps), isinstance(self.weighting, GradientWeighting)
        if len(losses) == 1 or not (due or by_gradient) or not total.requires_grad:
            return total
        each = [losses[name] for name in self.weighting.tasks]
        shared = shared_parameters(model)
        gradients = task_gradients(each, shared)
        grams = inner_products(gradients)
        if isinstance(self.weighting, GradientWeighting) and grams:
            factors = self.weighting.factors(torch.stack(list(grams.values())).sum(0).double().cpu())
            parameters = [parameter for group in shared.values() for parameter in group]
            self._corrections = list(zip(parameters, mixed(gradients, factors - 1), strict=True))
        else:
            factors = torch.stack(torch.autograd.grad(total, each, retain_graph=True, materialize_grads=True))
        if due:
            self.log.add(factors, grams)
        return total

    def correct(self, reduce: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> None:
        """Put what a `GradientWeighting` changes into ``.grad``; ``reduce`` averages a tensor over devices."""
        for parameter, correction in self._corrections:
            change = reduce(correction).view_as(parameter)
            parameter.grad = change if parameter.grad is None else parameter.grad + change
        self._corrections = []

    def report(self) -> dict[str, Any]:
        """For a stage's report: what `MultiTaskLog.report` says; empty for a single task."""
        tasks = self.weighting.tasks
        if len(tasks) == 1:
            return {}
        return {"multi_task": {"weighting": type(self.weighting).__name__, **self.log.report(tasks)}}
