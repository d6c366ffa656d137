"""The smallest parts of a policy that are worth tuning on a robot; everything else is frozen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError


class GainSchedule(nn.Module):
    """The frozen policy's action times a gain that depends on how large a joint's action is.

    ``a' = a · exp(g(|a|))`` with g linear between ``knots`` (in units of the action) and 0 from the last knot on, one
    set per joint; the log gains are bounded to ±``bound``. At the start g is 0: the schedule changes nothing. Friction
    and play swallow small commands, and these it can answer; large ones, which the gate is about, stay what they were.
    """

    def __init__(
        self, base: nn.Module, joints: int, knots: Sequence[float] = (0.0, 0.2, 0.5, 1.0), bound: float = 1.5
    ) -> None:
        super().__init__()
        if len(knots) < 2 or any(b <= a for a, b in zip(knots, list(knots)[1:], strict=False)):
            raise ConfigError(f"{list(knots)} do not rise", key="knots", remedy="give at least two rising numbers")
        self.base, self.bound = base.requires_grad_(False), bound
        self.register_buffer("knots", torch.tensor(list(knots)))
        self.log_gain = nn.Parameter(torch.zeros(joints, len(knots) - 1))

    def forward(self, observation: Tensor) -> Tensor:
        action: Tensor = self.base(observation)
        knots = self.get_buffer("knots")
        size = action.abs().clamp(knots[0], knots[-1])  # NaN stays NaN and ends at the gate
        right = torch.bucketize(size.detach(), knots[1:-1]) + 1
        share = (size - knots[right - 1]) / (knots[right] - knots[right - 1])
        gain = nn.functional.pad(self.log_gain.clamp(-self.bound, self.bound), (0, 1)).expand(len(action), -1, -1)
        low, high = (gain.gather(2, index[..., None])[..., 0] for index in (right - 1, right))
        return action * torch.exp(low + share * (high - low))


class ResidualHead(nn.Module):
    """The frozen policy's action plus ``bound · tanh(W observation + b)``, which starts at zero."""

    def __init__(self, base: nn.Module, features: int, joints: int, bound: float = 0.3) -> None:
        super().__init__()
        if not bound > 0:
            raise ConfigError(f"bound {bound} is not above 0", key="bound", remedy="give it in units of the action")
        self.base, self.bound = base.requires_grad_(False), bound
        self.residual = nn.Linear(features, joints)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def forward(self, observation: Tensor) -> Tensor:
        action: Tensor = self.base(observation)
        return action + self.bound * torch.tanh(self.residual(observation))


def lora_adapter(base: nn.Module, rank: int = 1, targets: Sequence[str] | None = None) -> nn.Module:
    """The policy with low-rank adapters on its linear layers, which alone may be tuned and start at no effect."""
    from perceptransfer.models.lora import add_lora  # peft costs seconds that the other subsets need not pay

    add_lora(base, rank=rank, alpha=float(rank), targets=targets)
    return base
