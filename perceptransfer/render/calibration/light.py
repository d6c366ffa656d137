"""Pictures before the sensor: drawn once, developed again for every candidate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import instantiate
from perceptransfer.core.errors import DataError
from perceptransfer.render.calibration.space import LIMITS, value_at
from perceptransfer.render.colours import to_linear
from perceptransfer.render.distributions import Distribution
from perceptransfer.render.draws import Draws
from perceptransfer.render.engines import make_engine
from perceptransfer.render.optics import SensorRanges, sensor_of
from perceptransfer.render.plan import Sensor
from perceptransfer.render.scene import Scene
from perceptransfer.render.sensor import develop, unit_grain
from perceptransfer.render.work import Task, draw
from perceptransfer.render.writer import read_pixels

Light = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def draw_light(scene: Scene, count: int, seed: int, engine: str, options: Mapping[str, Any] | None = None) -> Light:
    """What reaches the lens in ``count`` samples of a scene, linear ``float32 [n, H, W, 3]``.

    Raises:
        RenderError: too little of an object is seen in all attempts.
        DataError: the scene's pictures have different sizes.
    """
    executor = make_engine(engine, options or {})
    views, found = scene.views_per_scene, dict[int, Light]()
    try:
        for first in range(0, count, views):
            task = Task(first // views, tuple(range(first, min(first + views, count))))
            for _, view, seen in draw(scene, seed, executor, task):
                found[view.sample] = seen.radiance.astype(np.float32)
    finally:
        executor.close()
    if len({light.shape for light in found.values()}) > 1:
        raise DataError("the scene's pictures differ in size", key="size_px", remedy="calibrate with one size")
    return np.stack([found[sample] for sample in range(count)])


class Developer:
    """Turns the same light into pictures, time and again, with the same chances for every candidate.

    ``ranges`` supplies what is not fitted (movement, JPEG). Every fitted parameter takes the places of a Latin square:
    one in each of n equal parts of its range.
    """

    def __init__(self, light: Light, ranges: SensorRanges, seed: int) -> None:
        self.light, draws = light, Draws(seed, "calibration")
        n = len(light)
        self.given = [{name: ranges.draw(name, draws.under(i)) for name in ranges.ranges} for i in range(n)]
        rng = draws.rng("places")
        self.places = {name: (rng.permutation(n) + rng.random(n)) / n for name in LIMITS}
        self.grain = [unit_grain(draws.under(i).seed("noise"), light.shape[1:]) for i in range(n)]

    def as_given(self) -> Pixels:
        """Pictures by the ranges given."""
        return self._develop([sensor_of(values, 0) for values in self.given])

    def untouched(self) -> Pixels:
        """Pictures of a perfect sensor."""
        return self._develop([Sensor()] * len(self.light))

    def at(self, ranges: Mapping[str, Distribution]) -> Pixels:
        """Pictures by a candidate's ranges."""
        drawn = {name: value_at(ranges[name], self.places[name]).tolist() for name in LIMITS}
        return self._develop(
            [
                sensor_of({**values, **{name: column[i] for name, column in drawn.items()}}, 0)
                for i, values in enumerate(self.given)
            ]
        )

    def _develop(self, sensors: list[Sensor]) -> Pixels:
        return np.stack([develop(*it) for it in zip(self.light, sensors, self.grain, strict=True)])


def as_light(images: Pixels) -> Light:
    """Stored pictures taken for what reaches the lens, linear."""
    return np.asarray(to_linear(np.arange(256) / 255), dtype=np.float32)[images]


def light_of_set(folder: Path, count: int, seed: int) -> tuple[Light, bool]:
    """Pictures of an annotated set as light, drawn by chance, and whether the set was rendered by a perfect sensor.

    Raises:
        DataError: no set, pictures of different sizes, or a picture that cannot be read.
    """
    try:
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        lines = (folder / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
        names = [str(json.loads(line)["file"]) for line in lines]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"is no rendered set ({error})", where=folder, key="synthetic", remedy="finish the rendering first"
        ) from error
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    images = [np.asarray(read_pixels(folder / names[i]), np.uint8) for i in chosen]
    if not images or len({image.shape for image in images}) > 1 or images[0].ndim != 3:
        raise DataError("needs colour pictures of one size", where=folder, key="synthetic")
    return as_light(np.stack(images)), _perfect(about)


def _perfect(about: Any) -> bool:
    try:
        sensor = about["scene"]["spec"]["init_args"]["sensor"]
    except (KeyError, TypeError):
        return False
    ranges, ideal = (SensorRanges() if sensor is None else instantiate(sensor)).ranges, SensorRanges().ranges
    names = ideal.keys() - {"motion_deg"}
    same = all((ranges[name].low, ranges[name].high) == (ideal[name].low, ideal[name].high) for name in names)
    return same and "jpeg_quality" not in ranges
