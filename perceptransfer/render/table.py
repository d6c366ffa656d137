"""Things dropped on a table, and one picture cut around each."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.camera import crop, matrix4, project, transform
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws
from perceptransfer.render.optics import Crops, Lighting, SensorRanges, Viewpoint
from perceptransfer.render.plan import Body, Camera, Plane, ScenePlan, View
from perceptransfer.render.rotations import Rotations, Upright
from perceptransfer.render.scene import Scene
from perceptransfer.render.surfaces import Backdrop, Surface
from perceptransfer.render.things import Made, Thing

TRIES = 60  # places tried for one thing before the area grows

Floats = NDArray[np.float64]


class Table(Scene):
    """Every object once and ``distractor_count`` of the distractors, dropped in random order.

    Each thing gets a place within ``spread_m`` of the middle where its bounding circle keeps clear of the others';
    ``closeness`` above 0 lets the circles overlap by that share, so that things occlude and touch one another. If
    there is no room, the area grows. A thing's lowest point touches the table. Things are turned by ``rotation``, but
    for objects that look the same from all sides, those named in ``rotations`` by their own. One view an object, its
    class the object's name.

    Raises:
        ConfigError: ``rotations`` names no object.
    """

    def __init__(
        self,
        objects: dict[str, Thing],
        viewpoint: Viewpoint,
        crops: Crops,
        rotation: Rotations | None = None,
        spread_m: Number = (0.1, 0.25),
        closeness: Number = 0.0,
        distractors: dict[str, Thing] | None = None,
        distractor_count: Number = 0.0,
        table: Surface | None = None,
        table_m: float = 3.0,
        backdrop: Backdrop | None = None,
        lighting: Lighting | None = None,
        sensor: SensorRanges | None = None,
        origin: str = "rendered",
        licence: str = "unknown",
        rotations: dict[str, Rotations] | None = None,
    ) -> None:
        self._numbers(spread_m=spread_m, closeness=closeness, distractor_count=distractor_count, table_m=table_m)
        self._positive("spread_m", "table_m")
        if not objects:
            raise ConfigError("no objects", key="objects", remedy="name at least one")
        if not 0 <= self.ranges["closeness"].low <= self.ranges["closeness"].high < 1:
            raise ConfigError("needs 0 <= closeness < 1", key="closeness")
        names = {thing.keypoint_names for thing in objects.values()}
        if len(names) > 1:
            raise ConfigError("the objects have different keypoints", key="objects", remedy="give all as many")
        flips = {thing.keypoint_flip for thing in objects.values()}
        self.rotations = dict(rotations or {})
        if unknown := sorted(self.rotations.keys() - objects.keys()):
            raise ConfigError(f"no such objects: {unknown}", key="rotations", remedy=f"one of {', '.join(objects)}")
        self.objects, self.distractors = dict(objects), list((distractors or {}).values())
        self.viewpoint, self.crops, self.rotation = viewpoint, crops, rotation or Upright()
        self.surface, self.table_m = table or Surface(), table_m
        self.backdrop, self.lighting = backdrop or Backdrop(), lighting or Lighting()
        self.sensor = sensor or SensorRanges()
        self.classes = self.mask_classes = tuple(objects)
        (self.keypoint_names,) = names
        self.keypoint_flip = flips.pop() if len(flips) == 1 else None
        self.views_per_scene = len(objects)
        self.origin, self.licence = origin, licence

    def compose(self, draws: Draws, seed: int, index: int, attempt: int) -> ScenePlan:
        things = self._things(draws)
        places = self._places(draws, [hull for _, _, hull in things])
        bodies = [self._table(draws.under("table"))]
        hulls = {}
        for number, ((body, _, hull), place) in enumerate(zip(things, places, strict=True), start=1):
            pose = np.asarray(body.world_from_object).copy()
            pose[:3, 3] = (*place, -hull[:, 2].min())
            bodies.append(replace(body, instance=number, world_from_object=matrix4(pose)))
            hulls[number] = hull + pose[:3, 3]
        camera = self.viewpoint.sample(draws.under("camera"), (0.0, 0.0, 0.03))
        views = [
            self._view(draws.under("view", number), index, number, body, camera, hulls[number])
            for number, body in enumerate(bodies)
            if body.category is not None
        ]
        views.sort(key=lambda view: view.sample)
        lights = self.lighting.sample(draws.under("lights"))
        background = self.backdrop.sample(draws.under("background"))
        return ScenePlan(index, seed, tuple(bodies), tuple(views), lights, background, attempt)

    def _things(self, draws: Draws) -> list[tuple[Body, Made, Floats]]:
        """Bodies that still have no place, with their turned hulls."""
        chosen: list[tuple[str, Thing, bool]] = [(name, thing, False) for name, thing in self.objects.items()]
        count = self.whole("distractor_count", draws) if self.distractors else 0
        kinds = draws.rng("kinds").integers(max(1, len(self.distractors)), size=count)
        chosen += [(f"distractor {i}", self.distractors[kind], True) for i, kind in enumerate(kinds)]
        found = []
        for name, thing, distracts in chosen:
            own = draws.under("thing", name)
            made = thing.make(own)
            pose = np.eye(4)
            if distracts or thing.turns:  # a distractor has no keypoints
                pose[:3, :3] = self.rotations.get(name, self.rotation).sample(own.under("rotation"))
            body = Body(
                name, 0, made.shape, matrix4(pose), made.material, None if distracts else name,
                keypoints=() if distracts else made.keypoints, symmetries=made.symmetries, distractor=distracts,
            )  # fmt: skip
            found.append((body, made, transform(pose, made.hull)))
        return found

    def _places(self, draws: Draws, hulls: list[Floats]) -> list[tuple[float, float]]:
        """Where each thing's origin goes; things are set down in random order."""
        rng = draws.rng("places")
        spread, free = self.draw("spread_m", draws), 1 - self.draw("closeness", draws)
        radii = [float(np.hypot(hull[:, 0], hull[:, 1]).max()) for hull in hulls]
        placed: dict[int, tuple[float, float]] = {}
        for one in rng.permutation(len(hulls)):
            tries = 0
            while True:
                far = spread * 1.1 ** (tries // TRIES)
                r, angle = far * math.sqrt(rng.random()), 2 * math.pi * rng.random()
                x, y = r * math.cos(angle), r * math.sin(angle)
                if all(
                    math.hypot(x - u, y - v) >= free * (radii[one] + radii[other]) for other, (u, v) in placed.items()
                ):
                    break
                tries += 1
            placed[int(one)] = (x, y)
        return [placed[i] for i in range(len(hulls))]

    def _table(self, draws: Draws) -> Body:
        size = self.table_m
        return Body("table", 0, Plane((size, size)), matrix4(np.eye(4)), self.surface.sample(draws))

    def _view(self, draws: Draws, index: int, number: int, body: Body, camera: Camera, hull: Floats) -> View:
        if (project(camera, hull)[:, 2] > 0.01).all():
            picture = self.crops.sample(draws, camera, hull)
        else:  # it reaches behind the camera: nothing to cut around
            picture = crop(camera, 0, 0, camera.width, camera.height, self.crops.size)
        sample = index * self.views_per_scene + self.classes.index(str(body.category))
        sensor = self.sensor.sample(draws.under("sensor"))
        seed = draws.seed("render")
        return View(sample, str(body.category), picture, sensor, number, self.crops.min_visible, seed=seed)
