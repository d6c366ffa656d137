"""A policy of which a small part may move, and proof that the rest did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import FrozenWeightsError, ProtocolError
from perceptransfer.policy.gates.evidence import Floats


class TunablePolicy:
    """A module from observation ``[B, D]`` to action ``[B, A]`` whose weights with ``requires_grad`` may be tuned.

    Everything else, buffers included, is frozen: its hash is taken now and compared by `check_frozen`. The module is
    kept in evaluation mode. ``describe`` goes into its checkpoints.

    Raises:
        ProtocolError: nothing is tunable.
    """

    def __init__(self, module: nn.Module, describe: Mapping[str, Any] | None = None) -> None:
        self.module, self.describe = module.eval(), dict(describe or {})
        self.tuned = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not self.tuned:
            raise ProtocolError(
                "no weight is tunable", remedy="wrap the policy in gain_schedule, residual_head or lora"
            )
        self.frozen_hash = self._hash(frozen=True)

    def act(self, observation: Any) -> Floats:
        """Action ``[A]`` for one observation ``[D]``."""
        with torch.inference_mode():
            seen = torch.as_tensor(np.asarray(observation, dtype=np.float32))[None]
            action: Floats = self.module(seen)[0].double().numpy()
        return action

    def vector(self) -> Floats:
        """All tunable weights in one vector."""
        return np.concatenate([p.detach().reshape(-1).double().numpy() for p in self.tuned.values()])

    @torch.no_grad()
    def load_vector(self, vector: Floats) -> None:
        """Inverse of `vector`, in the weights' own precision."""
        place = 0
        for parameter in self.tuned.values():
            part = vector[place : place + parameter.numel()]
            parameter.copy_(torch.from_numpy(np.array(part)).reshape(parameter.shape))
            place += parameter.numel()

    def checkpoint(self) -> Checkpoint:
        """All weights, frozen ones included."""
        return Checkpoint(self.describe, {name: t.detach().clone() for name, t in self.module.state_dict().items()})

    def state_hash(self) -> str:
        """Hash of all weights."""
        return Checkpoint({}, self.module.state_dict()).state_hash()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint.

        Raises:
            FrozenWeightsError: it has other frozen weights than this policy.
        """
        self.module.load_state_dict(dict(checkpoint.state))
        self.check_frozen()

    def check_frozen(self) -> None:
        """Compare the frozen weights with what they were at the start.

        Raises:
            FrozenWeightsError: they changed.
        """
        if self._hash(frozen=True) != self.frozen_hash:
            raise FrozenWeightsError(
                "frozen weights of the policy changed", remedy="restore the last checkpoint; look for what wrote them"
            )

    def _hash(self, frozen: bool) -> str:
        state: dict[str, Tensor] = self.module.state_dict()
        return Checkpoint({}, {n: t for n, t in state.items() if (n not in self.tuned) == frozen}).state_hash()
