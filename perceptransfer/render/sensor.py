"""From the light at the lens to the stored picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.colours import to_srgb
from perceptransfer.render.plan import Sensor

Light = NDArray[np.float32]


def develop(radiance: Light, sensor: Sensor, grain: Light | None = None) -> NDArray[np.uint8]:
    """Linear ``float32 [H, W, 3]``, 1 just exposed, to sRGB ``uint8`` of the same shape.

    In the order of a camera: movement and lens blur the light, exposure and white balance scale it, photons and
    electronics add noise, the sensor clips, and the stored curve, contrast, saturation, hue and JPEG follow.
    ``grain`` is noise of unit deviation and that shape, in place of what ``sensor.seed`` would draw.
    """
    light = _move(radiance.astype(np.float32), sensor.motion_px, sensor.motion_deg)
    if sensor.blur_px > 0.15:  # below, the kernel is one pixel
        blurred = cv2.GaussianBlur(light, (0, 0), sensor.blur_px, borderType=cv2.BORDER_REPLICATE)
        light = np.asarray(blurred, dtype=np.float32)
    light = light * (np.asarray(sensor.white_balance) * 2.0**sensor.exposure_stops).astype(np.float32)
    if sensor.shot_noise > 0 or sensor.read_noise > 0:
        # Standard deviation sqrt(shot² signal + read²), in units of full scale.
        spread = np.sqrt(sensor.shot_noise**2 * np.clip(light, 0, None) + sensor.read_noise**2)
        light = light + spread.astype(np.float32) * (unit_grain(sensor.seed, light.shape) if grain is None else grain)
    return finish(np.clip(light, 0, 1), sensor)


def unit_grain(seed: int, shape: tuple[int, ...]) -> Light:
    """Normal noise of deviation 1 that belongs to a seed."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def finish(light: Light, sensor: Sensor) -> NDArray[np.uint8]:
    """Second half: from clipped light in 0..1 to the stored picture."""
    value = to_srgb(light) ** sensor.gamma
    value = 0.5 + sensor.contrast * (value - 0.5)
    if sensor.saturation != 1 or sensor.hue != 0:
        value = value @ _colour_matrix(sensor.saturation, sensor.hue).T
    stored = np.asarray(np.rint(255 * np.clip(value, 0, 1)), dtype=np.uint8)
    if sensor.jpeg_quality is None:
        return stored
    done, packed = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg_quality])
    assert done, "OpenCV refuses a uint8 colour picture"
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])


def _move(light: Light, length: float, degrees: float) -> Light:
    """Mean over a straight movement of ``length`` pixels; the border repeats."""
    if length < 0.5:
        return light
    reach = math.ceil(length / 2)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = 8 * reach + 1
    for t in np.linspace(-length / 2, length / 2, steps):
        x, y = t * math.cos(math.radians(degrees)), t * math.sin(math.radians(degrees))
        i, j = math.floor(y), math.floor(x)
        for di, dj, share in ((0, 0, (1 - y + i) * (1 - x + j)), (0, 1, (1 - y + i) * (x - j)),
                              (1, 0, (y - i) * (1 - x + j)), (1, 1, (y - i) * (x - j))):  # fmt: skip
            if share > 1e-9:
                kernel[reach + i + di, reach + j + dj] += share / steps
    return np.asarray(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _colour_matrix(saturation: float, turns: float) -> NDArray[np.float64]:
    """Rotation about the grey axis, and scaling of the distance from it (Rec. 709 luma kept by the scaling)."""
    k = np.full(3, 1 / math.sqrt(3))
    c, s = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    rotation = c * np.eye(3) + s * cross + (1 - c) * np.outer(k, k)
    luma = np.tile([0.2126, 0.7152, 0.0722], (3, 1))
    return np.asarray((luma + saturation * (np.eye(3) - luma)) @ rotation)
