"""Fixed start panels: equal for everybody who names them, and no start in two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.seeding import derive_seed
from perceptransfer.robot.worlds import WORLDS, Start
from perceptransfer.robot.worlds.start import Region

PANELS: dict[str, Region] = {
    "train": "inside", "validation": "inside", "test": "inside", "held_out": "held_out", "edge": "edge",
}  # fmt: skip
_INSIDE = ("train", "validation", "test")
_LATTICE = 1e-4  # m


@dataclass(frozen=True)
class Panel:
    """A named list of starts of one world."""

    world: str
    name: str
    starts: tuple[Start, ...]


def panel(world: str, name: str, count: int = 50) -> Panel:
    """The first ``count`` starts of a panel; a longer panel begins with the shorter one.

    ``train``, ``validation`` and ``test`` are drawn from one distribution and share no start by construction: the
    target's place, rounded to a lattice of 0.1 mm, has another remainder modulo 3 in each. ``held_out`` and ``edge``
    are other regions (see the world's class).

    Raises:
        ConfigError: no such world or panel.
    """
    if world not in WORLDS:
        raise ConfigError(f"unknown world {world!r}", key="world", remedy=f"known are {', '.join(WORLDS)}")
    if name not in PANELS:
        raise ConfigError(f"unknown panel {name!r}", key="panel", remedy=f"known are {', '.join(PANELS)}")
    rng = np.random.default_rng(derive_seed("panel", world, name))
    starts: list[Start] = []
    while len(starts) < count:
        start = WORLDS[world].draw_start(rng, PANELS[name])
        if name not in _INSIDE or remainder(start) == _INSIDE.index(name):
            starts.append(start)
    return Panel(world, name, tuple(starts))


def remainder(start: Start) -> int:
    """What tells the three panels inside the region apart."""
    return sum(round(value / _LATTICE) for value in start.target) % 3
