"""What every alignment loss is: two domains' features in, one scalar out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


@dataclass(frozen=True)
class Shapes:
    """What a method may want to know of the model.

    ``dim`` values in ``pooled``, ``num_classes`` of the task that predicts one vector an image, ``channels`` of the
    pyramid from fine to coarse; and by task name the key of its labels (``kinds``: ``label``, ``mask``, ``depth`` or
    ``keypoints``) and the channels of its output (``sizes``).
    """

    dim: int
    num_classes: int
    channels: tuple[int, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


class AlignmentLoss(Configurable, nn.Module):
    """A differentiable measure of how far two domains' features (or predictions) lie apart.

    A method is one subclass with a ``forward``; `build` is only for methods with sub-modules whose sizes depend on
    the model, all of whose `shapes` are known by then. Minimising the scalar with one optimiser over the model's AND
    the loss's parameters trains the method; adversarial methods reverse their gradient inside. Further numbers worth
    watching go to `log`.

    Calling the module switches autocast off and lifts half-precision features to float32, so a method never has to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logs: dict[str, Tensor] = {}
        self.shapes = Shapes(0, 0)

    def prepare(self, shapes: Shapes) -> None:
        """Make the method ready for a model: what trains with it calls this once, and `build` is called by it."""
        self.shapes = shapes
        self.build(shapes.dim, shapes.num_classes)

    def build(self, dim: int, num_classes: int) -> None:
        """Create sub-modules for features ``[B, dim]`` and ``num_classes`` classes; the same sizes again do nothing."""

    @abstractmethod
    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar loss; ``progress`` runs from 0 to 1 over the training run. Batch sizes may differ."""

    def log(self, **values: Tensor) -> None:
        """Keep scalars of this step for the trainer; they are fetched from the device only when `logs` is read."""
        self._logs = {name: value.detach() for name, value in values.items()}

    def terms(self) -> list[AlignmentLoss]:
        """The methods that it consists of: itself."""
        return [self]

    @property
    def logs(self) -> dict[str, float]:
        """What the latest forward pass logged."""
        return {name: float(value) for name, value in self._logs.items()}

    def __call__(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Run ``forward`` in full precision.

        Raises:
            ConfigError: pooled features that are not ``[B, D]`` with equal D, or an empty batch.
        """
        one, other = tuple(source.pooled.shape), tuple(target.pooled.shape)
        if len(one) != 2 or len(other) != 2 or one[1] != other[1] or 0 in one + other:
            raise ConfigError(
                f"{type(self).__name__} needs features [B, D] with one D and B > 0, got {one} and {other}",
                remedy="pass both domains through the same encoder",
            )
        with torch.autocast(source.pooled.device.type, enabled=False):
            loss: Tensor = super().__call__(_full_precision(source), _full_precision(target), progress=progress)
        return loss


def _full_precision(features: Features) -> Features:
    outputs = {name: _lift(output) for name, output in features.outputs.items()}
    return Features(_lift(features.pooled), features.pyramid, outputs)


def _lift(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def class_logits(features: Features) -> Tensor:
    """Class logits ``[B, K]`` of the first task that predicts one vector an image.

    Raises:
        ConfigError: no task of the model does.
    """
    for output in features.outputs.values():
        if output.ndim == 2:
            return output
    raise ConfigError(
        "this alignment loss reads class predictions and the model has no classification task",
        key="align.loss",
        remedy="add a classification task or choose a loss on features (DANN, MMD, CORAL)",
    )


def require_batch(source: Features, target: Features, method: str, minimum: int = 2) -> None:
    """Refuse batches with which ``method`` is undefined.

    Raises:
        ConfigError: fewer than ``minimum`` images of either domain.
    """
    smallest = min(len(source.pooled), len(target.pooled))
    if smallest < minimum:
        raise ConfigError(
            f"{method} needs at least {minimum} images of each domain in a batch, got {smallest}",
            key="batch_size",
            remedy="raise the batch size or drop the last incomplete batch",
        )


def losses() -> dict[str, type[AlignmentLoss]]:
    """Every method of this package by class name; users' own subclasses are not listed."""
    found: dict[str, type[AlignmentLoss]] = {}
    pending = list(AlignmentLoss.__subclasses__())
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.__module__.startswith("perceptransfer.alignment."):
            found[cls.__name__] = cls
    return dict(sorted(found.items()))
