"""The tasks' gradients on the encoder that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import commonpath

import torch
from torch import Tensor, nn

from perceptransfer.models import PerceptionModel
from perceptransfer.models.freeze import blocks

Gradients = dict[str, list[Tensor]]
"""By group of layers, one ``[T, n]`` a parameter of n numbers."""


def shared_parameters(model: PerceptionModel) -> dict[str, list[nn.Parameter]]:
    """The encoder's trainable parameters by group of layers, stem first; groups without any are left out."""
    named = {name: parameter for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    groups: dict[str, list[nn.Parameter]] = {}
    for depth, names in enumerate(blocks(model.encoder.backbone)):
        found = [named.pop(f"backbone.{name}") for name in names if f"backbone.{name}" in named]
        if found:
            groups.setdefault(_label(names) or f"group {depth}", []).extend(found)
    if named:
        groups["rest"] = list(named.values())
    return groups


def _label(names: Sequence[str]) -> str:
    """What the names of a group's parameters have in common: ``blocks.0`` of ``blocks.0.0.weight, blocks.0.1.bias``."""
    return commonpath([name.replace(".", "/").rpartition("/")[0] for name in names]).replace("/", ".")


def task_gradients(losses: Sequence[Tensor], shared: Mapping[str, Sequence[nn.Parameter]]) -> Gradients:
    """Gradient of each loss; the graph stays and ``.grad`` is not written. Zero where a loss does not reach."""
    parameters = [parameter for group in shared.values() for parameter in group]
    if not parameters:
        return {}
    by_task = [torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True) for loss in losses]
    stacked = iter([torch.stack([g.flatten() for g in same]) for same in zip(*by_task, strict=True)])
    return {name: [next(stacked) for _ in group] for name, group in shared.items()}


def inner_products(gradients: Gradients) -> dict[str, Tensor]:
    """Gram matrix ``[T, T]`` of each group, in full precision."""
    grams = {}
    for name, stacked in gradients.items():
        with torch.autocast(stacked[0].device.type, enabled=False):
            grams[name] = torch.stack([matrix.float() @ matrix.float().T for matrix in stacked]).sum(0)
    return grams


def mixed(gradients: Gradients, factors: Tensor) -> list[Tensor]:
    """Sum over tasks of factor times gradient, flat, one tensor a parameter."""
    found = [matrix for stacked in gradients.values() for matrix in stacked]
    return [(factors.to(matrix) @ matrix) for matrix in found]
