"""Ranges of the sensor as a point of a bounded box, and the box's walls."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.distributions import Distribution, LogUniform, Normal, Uniform

Point = NDArray[np.float64]


class Limit(NamedTuple):
    """Outermost values of a parameter, the least and the largest width of its range, and whether in logarithms."""

    low: float
    high: float
    least: float
    widest: float
    unit: str
    log: bool = False


LIMITS = {
    "blur_px": Limit(0.0, 2.5, 0.2, 1.5, "pixels, Gaussian sigma"),
    "exposure_stops": Limit(-2.0, 2.0, 0.3, 3.0, "stops"),
    "red_gain": Limit(0.6, 1.7, 1.06, 1.8, "factor on red beside green", log=True),
    "blue_gain": Limit(0.6, 1.7, 1.06, 1.8, "factor on blue beside green", log=True),
    "shot_noise_std": Limit(0.0, 0.10, 0.005, 0.06, "deviation at full signal, 1 is full scale"),
    "read_noise_std": Limit(0.0, 0.05, 0.002, 0.03, "deviation in the dark, 1 is full scale"),
    "gamma": Limit(0.6, 1.7, 1.06, 1.8, "exponent on stored values", log=True),
    "contrast": Limit(0.6, 1.6, 0.06, 0.6, "factor around mid-grey"),
    "hue_turns": Limit(-0.04, 0.04, 0.006, 0.05, "turns about grey"),
    "saturation": Limit(0.4, 1.7, 0.1, 0.9, "factor on the distance from grey"),
}
"""Beyond these a camera would be called broken. Widths of a logarithmic parameter are high / low."""


def _scale(value: float, limit: Limit) -> float:
    return math.log(value) if limit.log else value


def ranges_at(point: Point) -> dict[str, Distribution]:
    """The ranges that a point of the unit box [places of all parameters, then widths] stands for, within `LIMITS`."""
    found: dict[str, Distribution] = {}
    for (name, limit), (place, width) in zip(LIMITS.items(), point.reshape(2, -1).T.clip(0, 1).tolist(), strict=True):
        low, high = _scale(limit.low, limit), _scale(limit.high, limit)
        least, widest = _scale(limit.least, limit), _scale(limit.widest, limit)
        span = least + width * (widest - least)
        start = low + place * (high - low - span)
        ends = [start, start + span]
        if limit.log:
            ends = [math.exp(it) for it in ends]
        ends = [round(min(max(it, limit.low), limit.high), 5) for it in ends]
        found[name] = (LogUniform if limit.log else Uniform)(*ends)
    return found


def point_of(ranges: dict[str, Distribution]) -> Point:
    """The point nearest to given ranges; of a normal distribution, 90 % of it counts."""
    point = []
    for name, limit in LIMITS.items():
        given = ranges[name]
        ends = (given.low, given.high)
        if isinstance(given, Normal):
            ends = (max(ends[0], given.mean - 1.645 * given.std), min(ends[1], given.mean + 1.645 * given.std))
        low, high = _scale(limit.low, limit), _scale(limit.high, limit)
        least, widest = _scale(limit.least, limit), _scale(limit.widest, limit)
        first, last = (_scale(min(max(it, limit.low), limit.high), limit) for it in ends)
        span = min(max(last - first, least), widest)
        start = min(max((first + last - span) / 2, low), high - span)
        point.append([(start - low) / (high - low - span), (span - least) / (widest - least)])
    return np.asarray(point).T.ravel()


def value_at(given: Distribution, quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draws of an even distribution, by quantile in 0..1; equal quantiles make candidates comparable."""
    if isinstance(given, LogUniform):
        return np.asarray(np.exp(math.log(given.low) + quantiles * (math.log(given.high) - math.log(given.low))))
    return np.asarray(given.low + quantiles * (given.high - given.low))
