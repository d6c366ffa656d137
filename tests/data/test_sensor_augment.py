"""A scene file's sensor as augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import NoAugmentation, SensorAugmentation
from perceptransfer.data.sensor_augment import strong_ranges
from perceptransfer.render.calibration.space import ranges_at
from perceptransfer.render.plan import Sensor
from perceptransfer.render.sensor import develop

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 20, 3)).astype(np.uint8)


def augmentation(folder: Path, text: str) -> SensorAugmentation:
    path = folder / "sensor.yaml"
    path.write_text(text)
    return SensorAugmentation(str(path))


def test_a_perfect_sensor_changes_nothing(tmp_path: Path) -> None:
    assert torch.equal(augmentation(tmp_path, "sensor: {}")(IMAGES, 0), NoAugmentation()(IMAGES))


def test_a_fixed_sensor_is_that_of_the_renderer(tmp_path: Path) -> None:
    made = augmentation(tmp_path, "sensor: {exposure_stops: -1, blur_px: 1.0, red_gain: 1.2}")(IMAGES, 0)
    value = IMAGES / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
    sensor = Sensor(exposure_stops=-1, blur_px=1.0, white_balance=(1.2, 1, 1))
    expected = np.stack([develop(it, sensor) for it in light]).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(made.numpy(), expected, atol=1.01 / 255)  # the curve back and forth rounds


def test_draws_differ_between_pictures_and_follow_the_seed(tmp_path: Path) -> None:
    augment = augmentation(tmp_path, "sensor: {exposure_stops: {normal: [0, 1]}, read_noise_std: [0.01, 0.02]}")
    same = np.repeat(IMAGES[:1], 4, axis=0)
    one = augment(same, 3)
    assert torch.equal(one, augment(same, 3)) and not torch.equal(one, augment(same, 4))
    assert len({float(it.mean()) for it in one}) == 4


def test_identity_is_what_the_file_says_and_not_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one = augmentation(tmp_path, "init_args: {sensor: {blur_px: [0, 1]}}")
    two = augmentation(tmp_path / "a", "sensor: {blur_px: [0, 1]}")
    three = augmentation(tmp_path / "a", "sensor: {blur_px: [0, 2]}")
    assert fingerprint(one) == fingerprint(two) != fingerprint(three)
    assert torch.equal(instantiate(config_of(one))(IMAGES, 1), one(IMAGES, 1))
    assert one.ranges()["blur_px"]["init_args"] == {"low": 0, "high": 1}


def test_a_file_without_sensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no sensor"):
        augmentation(tmp_path, "class_path: Table")
    with pytest.raises(ConfigError, match=r"sensor\.yaml.*blur_pixels"):
        augmentation(tmp_path, "sensor: {blur_pixels: 1}")


def test_ranges_for_the_strong_augmentation() -> None:
    fitted = ranges_at(np.full(20, 0.5))
    found = strong_ranges(fitted, 100)
    assert found["defocus_share"] == pytest.approx(
        [it / 100 for it in (fitted["blur_px"].low, fitted["blur_px"].high)], abs=1e-4
    )
    # Light of 2 stops more is stored about 2^(2/2.2) times as large.
    dark, bright = (develop(np.full((1, 1, 3), it, np.float32), Sensor())[0, 0, 0] for it in (0.1, 0.4))
    assert bright / dark == pytest.approx(2 ** (2 / 2.2), rel=0.05)
    assert found["exposure_stops"][1] == pytest.approx(fitted["exposure_stops"].high / 2.2, abs=1e-4)
