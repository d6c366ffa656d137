"""Colours that are drawn; linear RGB."""

from __future__ import annotations

import colorsys

import numpy as np

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.plan import Colour


def to_linear(srgb: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """SRGB 0..1 to linear (IEC 61966-2-1)."""
    value = np.asarray(srgb, float)
    return np.where(value <= 0.04045, value / 12.92, ((np.maximum(value, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear 0..1 to sRGB (IEC 61966-2-1)."""
    value = np.maximum(linear, 0)
    return np.asarray(np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055))


class Colours(Ranges):
    """Base: one colour at a time."""

    def sample(self, draws: Draws) -> Colour:
        """Draw."""
        raise NotImplementedError


class Hsv(Colours):
    """By hue, saturation and value in sRGB; ``grey_share`` of all draws have a tenth of the saturation."""

    def __init__(
        self,
        hue_turns: Number = (0.0, 1.0),
        saturation: Number = (0.1, 0.9),
        value: Number = (0.1, 0.95),
        grey_share: float = 0.0,
    ) -> None:
        self._numbers(hue_turns=hue_turns, saturation=saturation, value=value, grey_share=grey_share)
        for name in ("saturation", "value"):
            if not 0 <= self.ranges[name].low <= self.ranges[name].high <= 1:
                raise ConfigError("reaches outside 0 to 1", key=name, remedy="give numbers between 0 and 1")

    def sample(self, draws: Draws) -> Colour:
        saturation = self.draw("saturation", draws)
        if draws.rng("grey").random() < self.draw("grey_share", draws):
            saturation *= 0.1
        srgb = colorsys.hsv_to_rgb(self.draw("hue_turns", draws) % 1.0, saturation, self.draw("value", draws))
        red, green, blue = (float(x) for x in to_linear(srgb))
        return red, green, blue


class Palette(Colours):
    """A mixture of two neighbours in a list of sRGB colours such as ``#c68642``, brightened or darkened a little."""

    def __init__(self, colours: list[str], brightness_gain: Number = 1.0) -> None:
        self._numbers(brightness_gain=brightness_gain)
        if not colours:
            raise ConfigError("no colours", key="colours", remedy="give at least one, such as '#c68642'")
        self._linear = to_linear(np.asarray([_from_hex(text) for text in colours]))

    def sample(self, draws: Draws) -> Colour:
        rng = draws.rng("mixture")
        place = rng.uniform(0, len(self._linear) - 1)
        first = min(int(place), max(len(self._linear) - 2, 0))
        second = min(first + 1, len(self._linear) - 1)
        mixed = self._linear[first] + (place - first) * (self._linear[second] - self._linear[first])
        red, green, blue = (float(x) for x in np.clip(mixed * self.draw("brightness_gain", draws), 0, 1))
        return red, green, blue


def _from_hex(text: str) -> list[float]:
    try:
        if len(text) == 7 and text[0] == "#":
            return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    except ValueError:
        pass
    raise ConfigError(f"{text!r} is no colour", key="colours", remedy="write #rrggbb, in quotes")
