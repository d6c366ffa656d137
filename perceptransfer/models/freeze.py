"""Which weights a stage may move."""

from __future__ import annotations

from typing import Any, Literal, get_args

from timm.models._manipulate import group_parameters
from torch import nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.models.model import PerceptionModel

Tune = Literal["all", "first", "middle", "last", "head", "norm"]


def set_trainable(model: PerceptionModel, tune: Tune, heads: bool = True) -> list[str]:
    """Let only the chosen weights take gradients and return their names.

    ``first``, ``middle`` and ``last`` are the thirds of the encoder's blocks by depth (surgical fine-tuning: shifts of
    the input are met in the first); ``norm`` is the scale and shift of every normalisation layer; ``head`` is the
    heads alone. The heads are tuned beside the chosen part unless ``heads`` is false. What is frozen keeps its
    batch-norm statistics, also after ``train()``.

    Paper: Lee et al., Surgical Fine-Tuning Improves Adaptation to Distribution Shifts, ICLR 2023.

    Raises:
        ConfigError: an unknown choice, or one that selects nothing of this encoder.
    """
    if tune not in get_args(Tune):
        raise ConfigError(f"unknown choice {tune!r}", key="tune", remedy=f"use one of {', '.join(get_args(Tune))}")
    chosen = _encoder_part(model.encoder.backbone, tune)
    if not chosen and tune != "head":
        raise ConfigError(f"the encoder has no weights for tune={tune}", key="tune", remedy="use all or head")
    for name, parameter in model.encoder.backbone.named_parameters():
        parameter.requires_grad_(name in chosen)
    for name, parameter in model.encoder.named_parameters():
        if not name.startswith("backbone."):  # what an encoder puts on top of its backbone
            parameter.requires_grad_(tune in ("all", "last"))
    model.heads.requires_grad_(heads or tune in ("head", "all"))
    model.train(model.training)  # out of a former freeze's evaluation mode, into this one's
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def blocks(backbone: Any) -> list[list[str]]:
    """Parameter names of a backbone in groups of rising depth: stem, blocks, whatever follows."""
    if not hasattr(backbone, "group_matcher"):
        return [[f"{name}.{n}" for n, _ in child.named_parameters()] for name, child in backbone.named_children()]
    groups: dict[int, list[str]] = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=False)
    return [groups[depth] for depth in sorted(groups)]


def _encoder_part(backbone: nn.Module, tune: Tune) -> set[str]:
    if tune == "all":
        return {name for name, _ in backbone.named_parameters()}
    if tune == "head":
        return set()
    if tune == "norm":
        return {
            f"{module_name}.{name}" if module_name else name
            for module_name, module in backbone.named_modules()
            if "norm" in type(module).__name__.lower()
            for name, _ in module.named_parameters(recurse=False)
        }
    groups = blocks(backbone)
    third = ("first", "middle", "last").index(tune)
    low, high = (round(i * len(groups) / 3) for i in (third, third + 1))
    return {name for group in groups[low:high] for name in group}
