"""Carrying out chunks of actions tick by tick: receding horizon, or the average of all chunks that speak of now."""

from __future__ import annotations

import torch
from torch import Tensor


class RecedingHorizon:
    """Take the first ``execute`` actions of a chunk, then ask for a new one."""

    def __init__(self, execute: int = 1) -> None:
        if execute < 1:
            raise ValueError(f"execute must be at least 1, got {execute}")
        self.execute = execute
        self.reset()

    def reset(self) -> None:
        """Forget the chunk of the last episode."""
        self._chunk: Tensor | None = None
        self._used = 0

    def wants_chunk(self) -> bool:
        """Whether the next `act` needs a new chunk; if not, features need not be computed."""
        return self._chunk is None or self._used >= min(self.execute, self._chunk.shape[1])

    def act(self, chunk: Tensor | None) -> Tensor:
        """Action ``[B, A]`` of this tick; ``chunk`` ``[B, k, A]`` may be left out unless `wants_chunk`."""
        if self.wants_chunk():
            if chunk is None:
                raise ValueError("a new chunk is needed on this tick")
            self._chunk, self._used = chunk, 0
        assert self._chunk is not None
        self._used += 1
        return self._chunk[:, self._used - 1]


class TemporalEnsemble:
    """Weighted mean of what all chunks so far say about this tick (Zhao et al. 2023).

    The chunk that is i ticks younger than the oldest one weighs ``exp(−decay·i)``: older predictions count more for a
    positive decay, all alike for 0.
    """

    def __init__(self, decay: float = 0.01) -> None:
        self.decay = decay
        self.reset()

    def reset(self) -> None:
        """Forget the chunks of the last episode."""
        self._chunks: list[Tensor] = []

    def wants_chunk(self) -> bool:
        """Every tick."""
        return True

    def act(self, chunk: Tensor | None) -> Tensor:
        """Action ``[B, A]`` of this tick, given its chunk ``[B, k, A]``."""
        if chunk is None:
            raise ValueError("a new chunk is needed on every tick")
        self._chunks = [*self._chunks, chunk][-chunk.shape[1] :]
        now = torch.stack([made[:, age] for age, made in enumerate(reversed(self._chunks))][::-1])
        weights = torch.exp(-self.decay * torch.arange(len(now), dtype=chunk.dtype, device=chunk.device))
        return (weights[:, None, None] * now).sum(0) / weights.sum()
