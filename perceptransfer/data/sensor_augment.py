"""A scene file's sensor as augmentation: training pictures get the ranges that `render calibrate` fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from perceptransfer.core.config import config_of
from perceptransfer.data.augment import Augmentation, to_tensor
from perceptransfer.data.record import Pixels
from perceptransfer.render.colours import to_linear
from perceptransfer.render.distributions import Distribution
from perceptransfer.render.optics import sensor_of
from perceptransfer.render.sensor import develop
from perceptransfer.render.spec import read_sensor

LINEAR = np.asarray(to_linear(np.arange(256) / 255), dtype=np.float32)


class SensorAugmentation(Augmentation):
    """Takes every picture for the light at a lens and develops it by a sensor drawn from a scene file's ranges.

    Colours, sharpness and noise change, places do not; blur and movement are in pixels of the batch.
    """

    NOT_IDENTITY = frozenset({"spec"})

    def __init__(self, spec: str) -> None:
        """Read the ranges.

        Args:
            spec: scene file, or a file that holds nothing but ``sensor:``.
        """
        self.sensor = read_sensor(Path(spec).expanduser())

    def __call__(self, images: Pixels, seed: int) -> Tensor:
        """Augment a batch."""
        rng = np.random.default_rng(seed)
        made = np.empty_like(images)
        for i, image in enumerate(images):
            values = {name: given.sample(rng) for name, given in self.sensor.ranges.items()}
            grain = rng.standard_normal(image.shape, dtype=np.float32)
            made[i] = develop(LINEAR[image], sensor_of(values, 0), grain)
        return to_tensor(made)

    def ranges(self) -> Mapping[str, Any]:
        """The distributions, by parameter."""
        return {name: config_of(given) for name, given in self.sensor.ranges.items()}

    def identity_extra(self) -> Mapping[str, Any]:
        """The ranges themselves, because the file's place does not count."""
        return {"sensor": self.ranges()}


def strong_ranges(fitted: Mapping[str, Distribution], side: int) -> dict[str, list[float]]:
    """The nearest ``ranges`` of `StrongAugmentation`, for pictures of ``side`` pixels.

    It scales stored values where a camera scales light, so gains are taken to the power 1/2.2, and noise times the
    slope of the sRGB curve at mid-grey, 1.17. It has no contrast and no hue. One range serves red and blue.
    """
    slope = 1.17
    gains = [fitted[name] for name in ("red_gain", "blue_gain")]
    found = {
        "exposure_stops": [it / 2.2 for it in _ends(fitted["exposure_stops"])],
        "white_balance": [min(it.low for it in gains) ** (1 / 2.2) - 1, max(it.high for it in gains) ** (1 / 2.2) - 1],
        "log_saturation": [math.log(it) for it in _ends(fitted["saturation"])],
        "defocus_share": [it / side for it in _ends(fitted["blur_px"])],
        "shot_noise": [it * slope for it in _ends(fitted["shot_noise_std"])],
        "read_noise": [it * slope for it in _ends(fitted["read_noise_std"])],
        "log_gamma": [math.log(it) for it in _ends(fitted["gamma"])],
    }
    return {name: [round(low, 4), round(high, 4)] for name, (low, high) in found.items()}


def _ends(given: Distribution) -> tuple[float, float]:
    return given.low, given.high
