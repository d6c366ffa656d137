"""Where an episode begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Region = Literal["inside", "held_out", "edge"]


@dataclass(frozen=True)
class Start:
    """Where an episode begins: joint angles (rad), target and puck (x, y in m), and the seed of its appearance."""

    joints: tuple[float, float]
    target: tuple[float, float]
    puck: tuple[float, float] | None
    seed: int
