"""The sensor does what its parameters say, in the order of a camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perceptransfer.render.plan import Sensor
from perceptransfer.render.sensor import develop

GREY = np.full((40, 40, 3), 0.18, np.float32)
RAMP = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], 3, axis=2).repeat(8, axis=0)


def mean(**values: object) -> float:
    return float(develop(GREY, Sensor(**values)).mean())  # type: ignore[arg-type]


def test_a_perfect_sensor_only_encodes_srgb() -> None:
    # Reference: the standard's curve, written for 8 bits.
    expected = [
        round(255 * (12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055)) for x in RAMP[0, :, 0].tolist()
    ]
    np.testing.assert_array_equal(develop(RAMP, Sensor())[0, :, 0], expected)


def test_exposure_doubles_the_light_with_every_stop() -> None:
    np.testing.assert_array_equal(develop(GREY, Sensor(exposure_stops=1.5)), develop(GREY * 2**1.5, Sensor()))


def test_white_balance_scales_channels() -> None:
    out = develop(GREY, Sensor(white_balance=(2.0, 1.0, 0.5)))[0, 0].astype(int)
    assert out.tolist() == [int(develop(GREY * k, Sensor())[0, 0, 0]) for k in (2, 1, 0.5)]


def test_noise_has_the_deviation_that_its_parameters_say() -> None:
    flat = np.full((300, 300, 3), 0.25, np.float32)
    # Measured in sRGB near 0.25: the curve's slope turns it back into linear units.
    slope = (develop(flat + 0.01, Sensor()).mean() - develop(flat - 0.01, Sensor()).mean()) / 0.02
    shot = develop(flat, Sensor(shot_noise=0.04, seed=3)).std() / slope
    read = develop(flat, Sensor(read_noise=0.02, seed=3)).std() / slope
    assert shot == pytest.approx(0.04 * 0.5, rel=0.05) and read == pytest.approx(0.02, rel=0.05)
    one, again, other = (develop(flat, Sensor(read_noise=0.02, seed=s)) for s in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_light_is_clipped_before_the_curve_and_noise_comes_before_clipping() -> None:
    white = np.full((50, 50, 3), 3.0, np.float32)
    assert develop(white, Sensor(read_noise=0.1)).min() == 255  # overexposed by far: noise cannot be seen
    assert develop(white, Sensor(gamma=2.0, contrast=1.2)).min() == 255


def test_blur_spreads_light_and_not_stored_values() -> None:
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 40.0  # brighter than white: blurring after clipping would leave 1/sigma² of white
    out = develop(point, Sensor(blur_px=2.0)).astype(float) / 255
    linear = np.where(out <= 0.04045, out / 12.92, ((out + 0.055) / 1.055) ** 2.4)
    y, x = np.mgrid[-20:21, -20:21]
    gauss = 40 * np.exp(-(x**2 + y**2) / 8) / (2 * np.pi * 4)
    np.testing.assert_allclose(linear[..., 0], np.clip(gauss, 0, 1), atol=0.02)


def test_movement_smears_along_its_direction_only() -> None:
    line = np.zeros((41, 41, 3), np.float32)
    line[20] = 1.0
    still = develop(line, Sensor(motion_px=8, motion_deg=0))
    np.testing.assert_array_equal(still, develop(line, Sensor()))
    smeared = develop(line, Sensor(motion_px=8, motion_deg=90)).astype(float)[:, 20, 0] / 255
    linear = ((smeared + 0.055) / 1.055) ** 2.4 * (smeared > 0)
    assert linear.sum() == pytest.approx(1, abs=0.05) and (linear > 0.05).sum() in (8, 9)


def test_gamma_contrast_saturation_hue() -> None:
    assert mean(gamma=2.0) == pytest.approx(255 * (mean() / 255) ** 2, abs=1)
    assert mean(contrast=0.5) == pytest.approx(127.5 + 0.5 * (mean() - 127.5), abs=1)
    red = np.tile(np.array([0.6, 0.1, 0.1], np.float32), (4, 4, 1))
    grey = develop(red, Sensor(saturation=0.0))[0, 0]
    assert np.ptp(grey.astype(int)) == 0
    turned = develop(red, Sensor(hue=1 / 3))[0, 0]
    np.testing.assert_allclose(turned, develop(red[..., [2, 0, 1]], Sensor())[0, 0], atol=1)
    np.testing.assert_array_equal(develop(red, Sensor(hue=1.0)), develop(red, Sensor()))


def test_jpeg_is_that_of_opencv_and_the_last_step() -> None:
    noisy = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    plain = develop(noisy, Sensor())
    packed = cv2.imencode(".jpg", plain[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    np.testing.assert_array_equal(develop(noisy, Sensor(jpeg_quality=40)), cv2.imdecode(packed, 1)[..., ::-1])
