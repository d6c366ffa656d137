"""The search for sensor ranges, and the judgement on photos that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.calibration.distances import frechet, sliced_wasserstein
from perceptransfer.render.calibration.features import describe
from perceptransfer.render.calibration.light import Developer
from perceptransfer.render.calibration.search import minimise
from perceptransfer.render.calibration.space import LIMITS, Point, point_of, ranges_at
from perceptransfer.render.distributions import Distribution
from perceptransfer.render.optics import SensorRanges

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float64]
Describe = Callable[[Pixels], Rows]

PULL = 0.3  # price of all ranges at full width, or all the way from the start, as share of the distance before
RESAMPLED = 100
LEAST_SPREAD = 1e-3
FURTHEST = 4.0  # spreads from the photos' mean: one black picture among a hundred is not the whole distance


@dataclass(frozen=True)
class Judged:
    """Fréchet distances to the held-out photos and what they rest on.

    ``gain`` is the 95 % interval of before − after over resampled images; ``floor`` the distance of the two halves of
    the photos from each other; ``untouched`` that of a perfect sensor. ``second_opinion`` is the sliced Wasserstein
    distance before and after, which the search did not see.
    """

    before: float
    after: float
    untouched: float
    floor: float
    gain: tuple[float, float]
    second_opinion: tuple[float, float]
    fitted_before: float
    fitted_after: float
    evaluations: int

    @property
    def better(self) -> bool:
        """Whether the fitted ranges are to be kept: all of the gain's interval is above 0, and both distances fell."""
        return self.gain[0] > 0 and self.after < self.before and self.second_opinion[1] < self.second_opinion[0]


@dataclass(frozen=True)
class Calibration:
    """Fitted ranges and pictures of the held-out half, for the report."""

    ranges: Mapping[str, Distribution]
    judged: Judged
    real: Pixels
    before: Pixels
    after: Pixels


class Measure:
    """Distance of pictures to fixed photos, columns in units of the spread that photos and pictures have together."""

    def __init__(self, real: Pixels, pictures: Pixels, describe_images: Describe) -> None:
        self.describe = describe_images
        rows, others = describe_images(real), describe_images(pictures)
        self.shift = rows.mean(0)
        self.scale = np.sqrt((rows.var(0) + others.var(0)) / 2) + LEAST_SPREAD
        self.real = self.rows(real)

    def rows(self, images: Pixels) -> Rows:
        """Columns in those units, cut at `FURTHEST`."""
        return np.asarray(((self.describe(images) - self.shift) / self.scale).clip(-FURTHEST, FURTHEST))

    def __call__(self, images: Pixels) -> float:
        return frechet(self.rows(images), self.real)


def calibrate(
    light: NDArray[np.float32],
    fit: Pixels,
    judge: Pixels,
    start: SensorRanges,
    *,
    budget: int = 400,
    seed: int = 0,
    extra: Describe | None = None,
) -> Calibration:
    """Fit the ranges of a sensor to photos.

    Args:
        light: pictures before the sensor, linear ``float32 [n, H, W, 3]``; the second half is for the judgement.
        fit: photos to fit to, of that size.
        judge: photos for the judgement alone.
        start: ranges to start from and to compare with.
        budget: candidates tried.
        seed: of the candidates and of the draws within them.
        extra: further features ``[n, H, W, 3] -> [n, D]``, such as those of an encoder.
    """
    half = len(light) // 2

    def rows(images: Pixels) -> Rows:
        return describe(images) if extra is None else np.hstack([describe(images), extra(images)])

    search = Developer(light[:half], start, seed)
    given = search.as_given()
    measure = Measure(fit, given, rows)
    first = measure(given)
    origin = point_of(start.ranges)

    def cost(point: Point) -> float:
        away = np.abs(point - origin)[: len(LIMITS)].mean()
        return float(measure(search.at(ranges_at(point))) + first * PULL * (point[len(LIMITS) :].mean() + away))

    found, evaluations = minimise(cost, origin, budget)
    ranges = ranges_at(found)
    fitted = measure(search.at(ranges))
    return _judge(Developer(light[half:], start, seed + 1), fit, judge, ranges, measure, (first, fitted, evaluations))


def _judge(
    held: Developer,
    fit: Pixels,
    judge: Pixels,
    ranges: Mapping[str, Distribution],
    measure: Measure,
    fitted: tuple[float, float, int],
) -> Calibration:
    before, after = held.as_given(), held.at(ranges)
    real, old, new = (measure.rows(images) for images in (judge, before, after))
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(RESAMPLED):
        photos, drawn = real[rng.integers(0, len(real), len(real))], rng.integers(0, len(old), len(old))
        gains.append(frechet(old[drawn], photos) - frechet(new[drawn], photos))
    low, high = np.quantile(gains, [0.025, 0.975])
    judged = Judged(
        before=frechet(old, real),
        after=frechet(new, real),
        untouched=frechet(measure.rows(held.untouched()), real),
        floor=frechet(measure.rows(fit), real),
        gain=(float(low), float(high)),
        second_opinion=(sliced_wasserstein(old, real), sliced_wasserstein(new, real)),
        fitted_before=fitted[0],
        fitted_after=fitted[1],
        evaluations=fitted[2],
    )
    return Calibration(ranges, judged, judge, before, after)
