"""Random numbers by name: what one parameter draws does not depend on how many others were drawn before."""

from __future__ import annotations

import numpy as np

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.seeding import derive_seed
from perceptransfer.render.distributions import Number, Uniform, as_distribution


class Draws:
    """A place in the tree of all draws; equal places give equal numbers on every machine."""

    def __init__(self, *place: object) -> None:
        self.place = place

    def under(self, *names: object) -> Draws:
        """A place below this one."""
        return Draws(*self.place, *names)

    def rng(self, name: str) -> np.random.Generator:
        """The generator for one use."""
        return np.random.default_rng(derive_seed(*self.place, name))

    def seed(self, name: str) -> int:
        """A seed in 0 .. 2^31 - 1."""
        return derive_seed(*self.place, name)


class Ranges(Configurable):
    """Base of what holds named distributions."""

    def _numbers(self, **given: Number) -> None:
        """Check the parameters and keep them for `draw`."""
        self.ranges = {name: as_distribution(value, name) for name, value in given.items()}

    def _positive(self, *names: str) -> None:
        for name in names:
            if self.ranges[name].low <= 0:
                raise ConfigError(f"{self.ranges[name].low:g} is not above 0", key=name, remedy="give numbers above 0")

    def draw(self, name: str, draws: Draws) -> float:
        """The value of one parameter at this place."""
        return self.ranges[name].sample(draws.rng(name))

    def whole(self, name: str, draws: Draws) -> int:
        """A whole number; [1, 3] gives 1, 2 and 3 equally often."""
        given = self.ranges[name]
        if isinstance(given, Uniform):
            return int(draws.rng(name).integers(round(given.low), round(given.high) + 1))
        return round(given.sample(draws.rng(name)))
