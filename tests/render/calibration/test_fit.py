"""Known ranges are found again, photos beyond any camera change nothing absurd, and what does not help is not kept."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from perceptransfer.render.calibration.features import describe
from perceptransfer.render.calibration.fit import Calibration, Measure, calibrate
from perceptransfer.render.calibration.light import Developer, as_light
from perceptransfer.render.calibration.report import as_markdown, numbers
from perceptransfer.render.calibration.search import minimise
from perceptransfer.render.calibration.space import LIMITS
from perceptransfer.render.optics import SensorRanges
from perceptransfer.render.plan import Sensor
from perceptransfer.render.sensor import develop

TRUTH = {
    "exposure_stops": (-1.2, -0.7), "red_gain": (1.2, 1.3), "blue_gain": (0.72, 0.8), "blur_px": (0.9, 1.3),
    "shot_noise_std": (0.03, 0.045),
}  # fmt: skip


def lights(count: int, seed: int, size: int = 32) -> np.ndarray:
    """Discs of any colour on patterned ground, linear ``[n, size, size, 3]``."""
    y, x = np.mgrid[:size, :size] / size
    found = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        wave = 0.5 + 0.5 * np.sin(rng.uniform(10, 60) * (x * rng.normal() + y * rng.normal()))[..., None]
        picture = rng.uniform(0.02, 0.6, 3) * wave + rng.uniform(0.02, 0.6, 3) * (1 - wave)
        for _ in range(5):
            (cy, cx), radius = rng.random(2), rng.uniform(0.08, 0.3)
            picture = np.where((np.hypot(x - cx, y - cy) < radius)[..., None], rng.uniform(0.01, 0.9, 3), picture)
        found.append(picture)
    return np.asarray(found, np.float32)


def photos(ranges: SensorRanges, count: int = 96) -> np.ndarray:
    return Developer(lights(count, 5), ranges, 9).as_given()


@functools.cache
def recovered() -> Calibration:
    real = photos(SensorRanges(**TRUTH))
    return calibrate(lights(96, 1), real[:48], real[48:], SensorRanges(), budget=260)


def test_known_ranges_are_recovered() -> None:
    found = recovered()
    for name, (low, high) in TRUTH.items():
        limit, got = LIMITS[name], found.ranges[name]
        near = 0.12 * (limit.high - limit.low)
        assert (got.low + got.high) / 2 == pytest.approx((low + high) / 2, abs=near), name
    assert found.ranges["exposure_stops"].high < 0 < found.ranges["blur_px"].low


def test_the_judgement_is_on_other_photos_and_near_their_floor() -> None:
    judged = recovered().judged
    assert judged.better and judged.gain[0] < judged.before - judged.after < judged.gain[1]
    assert judged.after < 0.6 * judged.before and judged.floor < judged.after
    assert judged.before == judged.untouched  # it started from a perfect sensor


def test_equal_seeds_give_equal_ranges() -> None:
    real = photos(SensorRanges(**TRUTH), 32)
    one, two = (calibrate(lights(32, 1), real[:16], real[16:], SensorRanges(), budget=15, seed=3) for _ in range(2))
    assert one.judged == two.judged
    assert numbers(one, SensorRanges(), {}) == numbers(two, SensorRanges(), {})


def test_the_right_ranges_are_left_as_they_were() -> None:
    truth = SensorRanges(**TRUTH)
    real = photos(truth)
    found = calibrate(lights(96, 1), real[:48], real[48:], truth, budget=25)
    assert not found.judged.better
    assert "left as they were" in as_markdown(numbers(found, truth, {"photos": "x"}), "x.png")


@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_photos_of_nothing_do_not_lead_beyond_the_limits(kind: str) -> None:
    shape = (16, 32, 32, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape)
    real = {"black": np.zeros(shape), "white": np.full(shape, 255), "noise": noise}[kind].astype(np.uint8)
    found = calibrate(lights(24, 1), real[:8], real[8:], SensorRanges(), budget=60)
    assert np.isfinite(found.judged.after)
    for name, limit in LIMITS.items():
        assert limit.low <= found.ranges[name].low < found.ranges[name].high <= limit.high


def test_a_developer_does_what_the_sensor_does() -> None:
    light = lights(4, 0)
    start = SensorRanges(exposure_stops=0.5, red_gain=1.2, jpeg_quality=80)
    expected = [develop(it, Sensor(exposure_stops=0.5, white_balance=(1.2, 1, 1), jpeg_quality=80)) for it in light]
    np.testing.assert_array_equal(Developer(light, start, 0).as_given(), expected)
    np.testing.assert_array_equal(Developer(light, start, 0).untouched(), [develop(it, Sensor()) for it in light])


def test_stored_pictures_as_light_and_back() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(Developer(as_light(images), SensorRanges(), 0).untouched(), images)


def test_search_keeps_to_its_budget_and_its_box() -> None:
    seen = []

    def cost(point: np.ndarray) -> float:
        seen.append(point)
        return float(np.abs(point - np.array([0.3, 1.4, 0.7])).sum())

    found, count = minimise(cost, np.array([1.0, 0.0, 0.5]), 150)
    assert count == len(seen) <= 150 and np.min(seen) >= 0 and np.max(seen) <= 1
    np.testing.assert_allclose(found, [0.3, 1, 0.7], atol=0.02)
    assert minimise(cost, np.array([1.0, 0.0, 0.5]), 1)[0].tolist() == [1.0, 0.0, 0.5]


def test_one_black_picture_is_not_the_whole_distance() -> None:
    real = photos(SensorRanges(**TRUTH), 48)
    measure = Measure(real, photos(SensorRanges(), 48), describe)
    spoilt = np.concatenate([real[:-1], np.zeros_like(real[:1])])
    assert measure(spoilt) < 0.5 * measure(photos(SensorRanges(), 48))
