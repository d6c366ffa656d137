"""A model's outputs as probabilities, whatever the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from perceptransfer.alignment.base import Shapes
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import KEYPOINTS, LABEL, MASK, Features

KINDS = (LABEL, MASK, KEYPOINTS)


class Belief(NamedTuple):
    """Log-probabilities of one task, which sum to one over ``dim``.

    ``log_p`` is ``[B, K]`` over classes (``label``), ``[B, C, h, w]`` over classes at every place (``mask``), or
    ``[B, K, h·w]`` over all places for every keypoint (``keypoints``).
    """

    name: str
    kind: str
    log_p: Tensor
    dim: int

    def entropy(self) -> Tensor:
        """Entropy of each distribution as a share of the highest possible, 0..1."""
        nats = -(self.log_p.exp() * self.log_p).sum(self.dim)
        return nats / torch.tensor(float(self.log_p.shape[self.dim])).log().to(nats)


def chosen(shapes: Shapes, kinds: Sequence[str] | None) -> list[str]:
    """Names of the tasks that give probabilities, or of those among them whose label keys stand in ``kinds``.

    Raises:
        ConfigError: an unknown kind, or no such task. A depth is no probability.
    """
    wanted = KINDS if kinds is None else tuple(kinds)
    names = [name for name, kind in shapes.kinds.items() if kind in wanted and kind in KINDS]
    if not names or set(wanted) - set(KINDS):
        raise ConfigError(
            f"no output to align among {dict(shapes.kinds)} for {list(wanted)}",
            key="align.loss.kinds",
            remedy=f"name some of {', '.join(KINDS)}, for which the model has tasks",
        )
    return names


def beliefs(features: Features, shapes: Shapes, names: Sequence[str]) -> Iterator[Belief]:
    """Beliefs of the named tasks, in their order.

    Raises:
        ConfigError: features without such an output.
    """
    for name in names:
        if name not in features.outputs:
            raise ConfigError(f"the features hold no output of the task {name!r}", remedy="pass them through the model")
        output, kind = features.outputs[name], shapes.kinds[name]
        flat = output.flatten(2) if kind == KEYPOINTS else output
        dim = 2 if kind == KEYPOINTS else 1
        yield Belief(name, kind, torch.log_softmax(flat, dim), dim)
