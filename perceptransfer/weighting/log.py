"""What happened between the tasks during training: weights, and whether their gradients pulled apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor


def cosines(gram: Tensor) -> Tensor:
    """Cosines ``[..., T, T]`` between vectors with inner products ``gram``; NaN where one of the two is zero."""
    norm = gram.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    scale = norm[..., :, None] * norm[..., None, :]
    return torch.where(scale > 0, gram / scale, torch.nan).clamp(-1, 1)


class MultiTaskLog:
    """Samples of the tasks' weights and of the inner products of their gradients on the shared encoder.

    ``samples`` is how many are taken, evenly spread over a training; 0 takes none. Sampling reads and changes nothing
    of the training: weights are bit-equal with and without it. Values stay on the device until `report`.
    """

    def __init__(self, samples: int = 20) -> None:
        self.samples = samples
        self._grams: dict[str, list[Tensor]] = {}
        self._whole: list[Tensor] = []
        self._weights: list[Tensor] = []

    def due(self, step: int, steps: int) -> bool:
        """Whether this step of the training is sampled."""
        return self.samples > 0 and step % max(1, steps // self.samples) == 0

    def add(self, weights: Tensor, grams: Mapping[str, Tensor]) -> None:
        """Take a sample: weights ``[T]`` and inner products ``[T, T]`` by group of layers."""
        self._weights.append(weights.detach())
        if grams:
            self._whole.append(torch.stack(list(grams.values())).sum(0))
        for group, gram in grams.items():
            self._grams.setdefault(group, []).append(gram.detach())

    def report(self, tasks: Sequence[str]) -> dict[str, Any]:
        """Plain data: each task's weight (mean, first, last) and each pair's cosine (mean, share below 0).

        The cosine is given over the whole encoder and by group of layers, ``None`` where one of the gradients was
        zero in every sample.
        """
        weights = torch.stack(self._weights).double().cpu() if self._weights else torch.zeros(0, len(tasks))
        shown = {
            name: {"mean": float(column.mean()), "first": float(column[0]), "last": float(column[-1])}
            for name, column in zip(tasks, weights.T, strict=True)
            if len(column)
        }
        pairs = {}
        whole = _cosines(self._whole, len(tasks))
        groups = {group: _cosines(found, len(tasks)) for group, found in self._grams.items()}
        for (one, first), (other, second) in combinations(enumerate(tasks), 2):
            by_group = {group: _summary(found[:, one, other]) for group, found in groups.items()}
            pairs[f"{first} and {second}"] = {**_summary(whole[:, one, other]), "groups": by_group}
        return {"samples": len(weights), "weights": shown, "conflict": pairs}


def _cosines(grams: list[Tensor], tasks: int) -> Tensor:
    return cosines(torch.stack(grams).double().cpu() if grams else torch.zeros(0, tasks, tasks))


def _summary(cosine: Tensor) -> dict[str, float | int | None]:
    known = cosine[~cosine.isnan()]
    if not len(known):
        return {"mean": None, "negative": None, "samples": 0}
    return {"mean": float(known.mean()), "negative": float((known < 0).double().mean()), "samples": len(known)}
