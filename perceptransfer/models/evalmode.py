"""What is frozen stays frozen: no gradient and evaluation mode together."""

from __future__ import annotations

from torch import nn


def keep_frozen_in_eval(module: nn.Module) -> None:
    """Put every sub-module that has parameters, none of them trainable, into evaluation mode.

    Called after each ``train()``: a batch normalisation without gradient would otherwise go on moving its running
    statistics, and a frozen block's dropout would go on dropping.
    """
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        for frozen in module.modules():  # not eval(), which would come back here through an overridden train()
            frozen.training = False
        return
    for child in module.children():
        keep_frozen_in_eval(child)
