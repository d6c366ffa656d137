"""Orientations that are drawn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges

Floats = NDArray[np.float64]


def about(axis: str, degrees: float) -> Floats:
    """Rotation [3, 3] about x, y or z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[j, i], matrix[i, j] = s, -s
    return matrix


class Rotations(Ranges):
    """Base: one rotation [3, 3] at a time, world_from_object."""

    def sample(self, draws: Draws) -> Floats:
        """Draw."""
        raise NotImplementedError


class AnyRotation(Rotations):
    """Every orientation alike (Shoemake 1992: a uniform point on the sphere of unit quaternions)."""

    def __init__(self) -> None:
        self._numbers()

    def sample(self, draws: Draws) -> Floats:
        w, x, y, z = (q := draws.rng("quaternion").normal(size=4)) / np.linalg.norm(q)
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )


class Upright(Rotations):
    """About the vertical by ``heading_deg``, then out of it by ``tilt_deg`` towards any side."""

    def __init__(self, heading_deg: Number = (0.0, 360.0), tilt_deg: Number = 0.0) -> None:
        self._numbers(heading_deg=heading_deg, tilt_deg=tilt_deg)

    def sample(self, draws: Draws) -> Floats:
        side = float(draws.rng("side").uniform(0, 360))
        tilt = about("z", side) @ about("x", self.draw("tilt_deg", draws)) @ about("z", -side)
        return np.asarray(tilt @ about("z", self.draw("heading_deg", draws)))


class Mixed(Rotations):
    """``first`` in ``first_share`` of the cases, else ``second``."""

    def __init__(self, first: Rotations, second: Rotations, first_share: float = 0.5) -> None:
        self._numbers(first_share=first_share)
        self.first, self.second = first, second

    def sample(self, draws: Draws) -> Floats:
        takes_first = draws.rng("which").random() < self.draw("first_share", draws)
        return (self.first if takes_first else self.second).sample(draws)
