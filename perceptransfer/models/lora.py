"""Low-rank adapters on any encoder, merged into plain weights and taken out again without a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.models.evalmode import keep_frozen_in_eval

ADAPTER = "default"


class LoRA:
    """Handle on the adapters in a module, made by `add_lora`.

    While unmerged, the module's only trainable weights are the adapters. `merge` replaces every adapted layer by the
    plain layer with the sum, so the state dict has the architecture's own names; `unmerge` brings the original weights
    back bit by bit (they are kept, not subtracted) with the adapters on top. The checkpoint is taken while merged.
    """

    def __init__(self, module: nn.Module, layers: dict[str, Any], trainable: dict[str, bool]) -> None:
        self.module, self._layers, self._trainable = module, layers, trainable
        self._originals: dict[str, Tensor] = {}

    @property
    def merged(self) -> bool:
        """Whether the module holds plain layers now."""
        return bool(self._originals)

    @property
    def targets(self) -> list[str]:
        """Names of the adapted layers."""
        return list(self._layers)

    def parameters(self) -> list[nn.Parameter]:
        """The adapters' weights."""
        return [p for layer in self._layers.values() for n, p in layer.named_parameters() if "lora_" in n]

    @torch.no_grad()
    def merge(self) -> None:
        """Add the adapters into the weights and take the wrappers out; gradient flags return to before `add_lora`."""
        if self.merged:
            return
        for name, layer in self._layers.items():
            base = layer.get_base_layer()
            self._originals[name] = base.weight.detach().clone()
            base.weight.add_(layer.get_delta_weight(ADAPTER))
            self.module.set_submodule(name, base)
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(self._trainable[name])

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the original weights and put the adapters back."""
        if not self.merged:
            return
        self.module.requires_grad_(False)
        for name, layer in self._layers.items():
            base = layer.get_base_layer()
            base.weight.copy_(self._originals.pop(name))
            # The wrapper was out of the module and did not move with it.
            self.module.set_submodule(name, layer.to(base.weight.device))
        for parameter in self.parameters():
            parameter.requires_grad_(True)


def add_lora(
    module: nn.Module,
    rank: int = 8,
    alpha: float = 16.0,
    targets: Sequence[str] | None = None,
    dropout: float = 0.0,
) -> LoRA:
    """Freeze ``module`` (an encoder) and add adapters ``W + alpha / rank * B A`` to its linear and convolution layers.

    ``targets`` are layer names or their endings (``qkv``, ``attn.proj``); without them every plain linear and
    ungrouped convolution layer is taken. A fresh adapter changes nothing: B starts at zero.

    Paper: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022.

    Raises:
        ConfigError: a rank below 1, targets that match no layer, or adapters already there.
    """
    if rank < 1:
        raise ConfigError(f"the LoRA rank must be at least 1, got {rank}", key="lora_rank")
    if any(isinstance(child, LoraLayer) for child in module.modules()):
        raise ConfigError("the model has LoRA adapters already", key="lora_rank", remedy="merge them first")
    names = _choose(module, targets)
    trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    pattern = "|".join(re.escape(name) for name in names)  # a pattern must match whole names, a list only endings
    # peft declares an integer alpha and only ever divides it
    config = LoraConfig(r=rank, lora_alpha=cast(int, alpha), lora_dropout=dropout, target_modules=f"(?:{pattern})")
    inject_adapter_in_model(config, module, adapter_name=ADAPTER)
    del module.peft_config  # peft leaves it on the module; the layers do not read it
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)}
    keep_frozen_in_eval(module)
    return LoRA(module, layers, trainable)


def _choose(module: nn.Module, targets: Sequence[str] | None) -> list[str]:
    possible = [name for name, layer in module.named_modules() if _supported(layer)]
    if targets is None:
        chosen = possible
    else:
        chosen = [name for name in possible if any(name == t or name.endswith(f".{t}") for t in targets)]
    if not chosen:
        raise ConfigError(
            f"no layer to adapt matches {list(targets or [])}",
            key="lora_targets",
            remedy=f"use endings of {', '.join(possible[:4])}..." if possible else "tune without LoRA",
        )
    return chosen


def _supported(layer: nn.Module) -> bool:
    # Exact types: a subclass may compute something else with the same weights (standardised, padded at run time).
    if type(layer) is nn.Linear:
        return True
    if type(layer) is not nn.Conv2d:
        return False
    # peft's adapter convolution copies kernel, stride and padding but not these
    return layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
