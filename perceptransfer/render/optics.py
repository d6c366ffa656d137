"""Cameras, sensors and lights, as ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.camera import crop_around, look_at
from perceptransfer.render.colours import Colours, Hsv
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.plan import Camera, Light, Sensor, Vector


def shell(distance: float, elevation: float, azimuth: float) -> Vector:
    """Point at ``distance`` in the direction given in degrees: elevation above the horizon, azimuth from x to y."""
    up, around = math.radians(elevation), math.radians(azimuth)
    flat = distance * math.cos(up)
    return flat * math.cos(around), flat * math.sin(around), distance * math.sin(up)


class Viewpoint(Ranges):
    """A camera on a shell around the scene's middle, looking at a point near it.

    ``focal_px`` [fx, fy], ``centre_px`` [cx, cy] and ``size_px`` [width, height] are those of the whole picture.
    ``target_m`` is the spread of the point looked at, in each axis.
    """

    def __init__(
        self,
        size_px: list[int],
        focal_px: list[float],
        centre_px: list[float] | None = None,
        distance_m: Number = (0.5, 1.0),
        elevation_deg: Number = (10.0, 80.0),
        azimuth_deg: Number = (0.0, 360.0),
        roll_deg: Number = 0.0,
        target_m: Number = 0.0,
    ) -> None:
        self._numbers(
            distance_m=distance_m, elevation_deg=elevation_deg, azimuth_deg=azimuth_deg, roll_deg=roll_deg,
            target_m=target_m,
        )  # fmt: skip
        self._positive("distance_m")
        pairs: dict[str, Sequence[float] | None] = {"size_px": size_px, "focal_px": focal_px, "centre_px": centre_px}
        for name, pair in pairs.items():
            if pair is not None and (len(pair) != 2 or not all(math.isfinite(x) for x in pair)):
                raise ConfigError(f"needs two numbers in pixels, got {pair!r}", key=name)
        if min(size_px) < 8 or min(focal_px) <= 0:
            raise ConfigError("too small", key="size_px", remedy="give at least 8 pixels and a focal length above 0")
        self.width, self.height = int(size_px[0]), int(size_px[1])
        centre = centre_px or [(self.width - 1) / 2, (self.height - 1) / 2]
        (fx, fy), (cx, cy) = focal_px, centre
        self.K = ((float(fx), 0.0, float(cx)), (0.0, float(fy), float(cy)), (0.0, 0.0, 1.0))

    def sample(self, draws: Draws, middle: Vector = (0.0, 0.0, 0.0)) -> Camera:
        """Draw a camera."""
        x, y, z = (self.draw("target_m", draws.under(axis)) for axis in "xyz")
        target = (middle[0] + x, middle[1] + y, middle[2] + z)
        away = shell(self.draw("distance_m", draws), self.draw("elevation_deg", draws), self.draw("azimuth_deg", draws))
        eye = (target[0] + away[0], target[1] + away[1], target[2] + away[2])
        roll = math.radians(self.draw("roll_deg", draws))
        return Camera(self.K, self.width, self.height, look_at(eye, target, roll))


class Crops(Ranges):
    """Pictures cut around one object each: ``margin`` times the box of its outline, moved by ``shift`` of its size."""

    def __init__(
        self,
        size_px: list[int],
        margin: Number = 1.2,
        shift: Number = (-0.06, 0.06),
        min_visible_share: float = 0.3,
    ) -> None:
        self._numbers(margin=margin, shift=shift, min_visible_share=min_visible_share)
        self._positive("margin")
        if len(size_px) != 2 or min(size_px) < 8:
            raise ConfigError(f"needs width and height of at least 8 pixels, got {size_px!r}", key="size_px")
        self.size = (int(size_px[0]), int(size_px[1]))
        self.min_visible = min_visible_share

    def sample(self, draws: Draws, camera: Camera, points: NDArray[np.float64]) -> Camera:
        """Camera of the crop around world points [N, 3]."""
        shift = (self.draw("shift", draws.under("x")), self.draw("shift", draws.under("y")))
        return crop_around(camera, points, self.draw("margin", draws), shift, self.size)


class SensorRanges(Ranges):
    """The parameters of `plan.Sensor`, each with its range; by default a perfect sensor."""

    def __init__(
        self,
        blur_px: Number = 0.0,
        motion_px: Number = 0.0,
        motion_deg: Number = (0.0, 180.0),
        exposure_stops: Number = 0.0,
        red_gain: Number = 1.0,
        blue_gain: Number = 1.0,
        shot_noise_std: Number = 0.0,
        read_noise_std: Number = 0.0,
        gamma: Number = 1.0,
        contrast: Number = 1.0,
        hue_turns: Number = 0.0,
        saturation: Number = 1.0,
        jpeg_quality: Number | None = None,
    ) -> None:
        self._numbers(
            blur_px=blur_px, motion_px=motion_px, motion_deg=motion_deg, exposure_stops=exposure_stops,
            red_gain=red_gain, blue_gain=blue_gain, shot_noise_std=shot_noise_std, read_noise_std=read_noise_std,
            gamma=gamma, contrast=contrast, hue_turns=hue_turns, saturation=saturation,
        )  # fmt: skip
        self._positive("gamma", "red_gain", "blue_gain")
        if jpeg_quality is not None:
            self._numbers(**self.ranges, jpeg_quality=jpeg_quality)
            if not 1 <= self.ranges["jpeg_quality"].low <= self.ranges["jpeg_quality"].high <= 100:
                raise ConfigError("reaches outside 1 to 100", key="jpeg_quality", remedy="give 1 to 100, or null")

    def sample(self, draws: Draws) -> Sensor:
        """Draw a sensor."""
        return sensor_of({name: self.draw(name, draws) for name in self.ranges}, draws.seed("noise"))


def sensor_of(values: Mapping[str, float], seed: int) -> Sensor:
    """The sensor with these values, by the names of `SensorRanges`."""
    value = dict(values)
    quality = value.pop("jpeg_quality", None)
    return Sensor(
        white_balance=(value.pop("red_gain"), 1.0, value.pop("blue_gain")),
        shot_noise=value.pop("shot_noise_std"),
        read_noise=value.pop("read_noise_std"),
        hue=value.pop("hue_turns"),
        jpeg_quality=None if quality is None else round(quality),
        seed=seed,
        **value,
    )


class Lighting(Ranges):
    """A world light from everywhere and ``lamp_count`` square lamps on a shell, turned to the middle.

    A lamp of ``energy_w`` at distance d gives about ``energy_w / (π d²)`` in the middle; a white surface in an
    irradiance of π is just exposed.
    """

    def __init__(
        self,
        world_gain: Number = (0.1, 0.6),
        world_colour: Colours | None = None,
        lamp_count: Number = (1.0, 3.0),
        lamp_colour: Colours | None = None,
        energy_w: Number = (10.0, 60.0),
        distance_m: Number = (1.0, 2.5),
        elevation_deg: Number = (20.0, 85.0),
        azimuth_deg: Number = (0.0, 360.0),
        lamp_size_m: Number = (0.05, 0.8),
    ) -> None:
        self._numbers(
            world_gain=world_gain, lamp_count=lamp_count, energy_w=energy_w, distance_m=distance_m,
            elevation_deg=elevation_deg, azimuth_deg=azimuth_deg, lamp_size_m=lamp_size_m,
        )  # fmt: skip
        self._positive("distance_m")
        self.world_colour = world_colour or Hsv(saturation=(0.0, 0.25), value=(0.9, 1.0))
        self.lamp_colour = lamp_colour or Hsv(saturation=(0.0, 0.3), value=(0.95, 1.0))

    def sample(self, draws: Draws, middle: Vector = (0.0, 0.0, 0.0)) -> tuple[Light, ...]:
        """Draw the lights around a point."""
        world = Light("world", self.draw("world_gain", draws), self.world_colour.sample(draws.under("world")))
        return world, *(self._lamp(draws.under("lamp", i), middle) for i in range(self.whole("lamp_count", draws)))

    def _lamp(self, draws: Draws, middle: Vector) -> Light:
        away = shell(self.draw("distance_m", draws), self.draw("elevation_deg", draws), self.draw("azimuth_deg", draws))
        length = math.hypot(*away)
        return Light(
            "area",
            self.draw("energy_w", draws),
            self.lamp_colour.sample(draws),
            position=(middle[0] + away[0], middle[1] + away[1], middle[2] + away[2]),
            direction=(-away[0] / length, -away[1] / length, -away[2] / length),
            size=self.draw("lamp_size_m", draws),
        )
