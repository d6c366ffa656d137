"""What every weighting is: several tasks' losses in, one scalar out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError


class Weighting(Configurable, nn.Module):
    """Turns the tasks' losses into the scalar that is minimised.

    A method is one subclass with a ``forward``. What it learns by gradient is a parameter and joins the model's
    optimiser; what it keeps otherwise is a buffer, so that both travel in the state dict. Tensors over tasks ``[T]``
    are in the order of `tasks`. A method that wants the losses of the same batch once more after the optimiser's step
    sets ``AFTER_STEP`` and gets them in `after_step`.
    """

    AFTER_STEP: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = ()
        self.regression: tuple[bool, ...] = ()

    def build(self, tasks: Sequence[str], regression: Collection[str] = ()) -> None:
        """Make room for these tasks, ``regression`` among them; the same names again keep what has been learnt.

        Raises:
            ConfigError: no task, one named twice, or arguments of the method about tasks that do not exist.
        """
        if not tasks or len(set(tasks)) < len(tasks):
            raise ConfigError(f"tasks need distinct names, found {list(tasks)}", key="tasks", remedy="name each once")
        if tuple(tasks) != self.tasks:
            self.tasks, self.regression = tuple(tasks), tuple(name in regression for name in tasks)
            self.start()

    def start(self) -> None:
        """Create parameters and buffers for `tasks`; called by `build`."""

    @abstractmethod
    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        """Scalar from losses ``[T]``; ``progress`` runs from 0 to 1 over the training run."""

    def after_step(self, losses: Tensor) -> None:
        """Learn from the losses ``[T]`` of the same batch after the optimiser's step."""

    def stacked(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The losses ``[T]`` in full precision and in the order of `tasks`.

        Raises:
            ConfigError: losses of other tasks than those it was built for.
        """
        if set(losses) != set(self.tasks):
            raise ConfigError(
                f"{type(self).__name__} weighs {list(self.tasks)} and was given losses of {list(losses)}",
                key="weighting",
                remedy="call build with the names of the tasks that are trained",
            )
        return torch.stack([losses[name].float() if losses[name].itemsize < 4 else losses[name] for name in self.tasks])

    def __call__(self, losses: Mapping[str, Tensor], *, progress: float) -> Tensor:
        """Run ``forward`` in full precision on the losses by task name. Raises as `stacked`."""
        stacked = self.stacked(losses)
        with torch.autocast(stacked.device.type, enabled=False):
            total: Tensor = super().__call__(stacked, progress=progress)
        return total


class GradientWeighting(Weighting):
    """A method on the tasks' gradients with respect to the shared encoder instead of on their losses.

    Heads learn from the plain sum of the losses. The encoder's gradient becomes the sum of the tasks' gradients, each
    with a factor that depends on nothing but their inner products: projections, cones and equal-angle directions all
    lie in the span of the gradients.
    """

    def forward(self, losses: Tensor, *, progress: float) -> Tensor:
        return losses.sum()

    @abstractmethod
    def factors(self, gram: Tensor) -> Tensor:
        """Factor on each task's gradient ``[T]`` from their inner products ``[T, T]``, float64 on the CPU."""


def weightings() -> dict[str, type[Weighting]]:
    """Every method of this package by class name; users' own subclasses are not listed."""
    found: dict[str, type[Weighting]] = {}
    pending: list[type[Any]] = list(Weighting.__subclasses__())
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.__module__.startswith("perceptransfer.weighting.") and cls is not GradientWeighting:
            found[cls.__name__] = cls
    return dict(sorted(found.items()))
