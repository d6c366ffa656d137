"""What a camera makes of the light that reaches it: exposure, colour, shading, blur, noise, gamma."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.robot.arrays import Pixels


def expose(image: Pixels, draw: Mapping[str, float], rng: np.random.Generator) -> Pixels:
    """Pass ``uint8 [H, W, 3]`` through the sensor that the ``sensor.*`` values describe; same shape and type.

    In this order: gain ``2^exposure`` with the white balance, mixing towards grey (``saturation``), a falling off to
    the corners (``vignette``) and along ``shade_angle`` (``shade``), blur (``blur``, σ in pixels), additive noise
    (``noise``, σ in units of full scale), the curve ``v^gamma``, rounding to 8 bits.
    """
    gains = np.array([draw["sensor.red"], 1.0, draw["sensor.blue"]], np.float32) * 2.0 ** draw["sensor.exposure"]
    light = image.astype(np.float32) * (gains.astype(np.float32) / np.float32(255))
    if draw["sensor.saturation"] != 1:
        grey = light.mean(axis=2, keepdims=True)
        light = grey + np.float32(draw["sensor.saturation"]) * (light - grey)
    if draw["sensor.vignette"] or draw["sensor.shade"]:
        light *= _shading(image.shape[0], image.shape[1], draw)[..., None]
    if draw["sensor.blur"] > 0.15:  # below, the kernel is one pixel
        light = cv2.GaussianBlur(light, (0, 0), draw["sensor.blur"], borderType=cv2.BORDER_REPLICATE)
    if draw["sensor.noise"] > 0:
        light += np.float32(draw["sensor.noise"]) * rng.standard_normal(light.shape, dtype=np.float32)
    light = np.clip(light, 0, 1)
    if draw["sensor.gamma"] != 1:
        light = light ** np.float32(draw["sensor.gamma"])
    return np.asarray(np.rint(light * 255), dtype=np.uint8)


def _shading(height: int, width: int, draw: Mapping[str, float]) -> NDArray[np.float32]:
    """Factor on every pixel ``[H, W]``."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle = np.deg2rad(draw["sensor.shade_angle"])
    slope = 1 + draw["sensor.shade"] * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(slope * (1 - draw["sensor.vignette"] * (x * x + y * y) / 2), dtype=np.float32)
