"""Objects that can be put into a scene: a shape, its surface, its keypoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import sha256_file
from perceptransfer.render.camera import matrix4
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.plan import Box, Capsule, Cylinder, Material, Matrix4, Mesh, Shape, Sphere, Vector
from perceptransfer.render.ply import read_ply
from perceptransfer.render.rotations import about
from perceptransfer.render.surfaces import Surface

Floats = NDArray[np.float64]
CORNERS = tuple("".join(signs) for signs in itertools.product("-+", repeat=3))
BOX_KEYPOINTS = ("centre", *(f"corner {signs}" for signs in CORNERS))
"""Signs of x, y and z."""
EXTENT_M = (0.001, 10.0)  # of a mesh's longest side; beyond it is a wrong unit rather than such a thing on a table


@dataclass(frozen=True)
class Made:
    """A thing that was drawn; ``hull`` [N, 3] are points whose convex hull is that of the shape, nearly."""

    shape: Shape
    material: Material
    keypoints: tuple[Vector, ...]
    hull: Floats
    symmetries: tuple[Matrix4, ...] = ()


class Thing(Ranges):
    """Base; ``keypoint_names`` are the names of what `make` returns as keypoints."""

    keypoint_names: tuple[str, ...] = BOX_KEYPOINTS
    keypoint_flip: tuple[int, ...] | None = (
        0,
        *(1 + CORNERS.index({"-": "+", "+": "-"}[s[0]] + s[1:]) for s in CORNERS),
    )
    turns = True
    """Whether it is turned when it is put into a scene; False where its keypoints could not be told from a picture."""

    def __init__(self, surface: Surface | None = None) -> None:
        self.surface = surface or Surface()

    def make(self, draws: Draws) -> Made:
        """Draw one."""
        raise NotImplementedError

    def _boxed(self, shape: Shape, half: tuple[float, float, float], hull: Floats, draws: Draws) -> Made:
        """With the middle and the corners of the bounding box as keypoints."""
        corners = [_vector(np.multiply(half, [1.0 if s == "+" else -1.0 for s in signs])) for signs in CORNERS]
        return Made(shape, self.surface.sample(draws.under("surface")), ((0.0, 0.0, 0.0), *corners), hull)


class Ball(Thing):
    """A sphere. Its corners are those of the upright cube around it, known up to quarter turns."""

    VERSION = 2  # 1 was turned
    turns = False

    def __init__(self, radius_m: Number = (0.02, 0.05), surface: Surface | None = None) -> None:
        super().__init__(surface)
        self._numbers(radius_m=radius_m)
        self._positive("radius_m")

    def make(self, draws: Draws) -> Made:
        r = self.draw("radius_m", draws)
        made = self._boxed(Sphere(r), (r, r, r), r * _directions(), draws)
        return replace(made, symmetries=tuple(_turn("z", angle) for angle in (90, 180, 270)))


class Block(Thing):
    """A box; half a turn about each axis leaves it as it was."""

    def __init__(
        self,
        x_m: Number = (0.03, 0.1),
        y_m: Number = (0.03, 0.1),
        z_m: Number = (0.03, 0.1),
        surface: Surface | None = None,
    ) -> None:
        super().__init__(surface)
        self._numbers(x_m=x_m, y_m=y_m, z_m=z_m)
        self._positive("x_m", "y_m", "z_m")

    def make(self, draws: Draws) -> Made:
        x, y, z = (self.draw(name, draws) for name in ("x_m", "y_m", "z_m"))
        signs = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
        made = self._boxed(Box((x, y, z)), (x / 2, y / 2, z / 2), signs * (x, y, z), draws)
        return replace(made, symmetries=tuple(_turn(axis, 180) for axis in "xyz"))


class Can(Thing):
    """A cylinder along z, known up to quarter turns about z and half a turn about the others."""

    def __init__(
        self, radius_m: Number = (0.02, 0.04), height_m: Number = (0.05, 0.12), surface: Surface | None = None
    ) -> None:
        super().__init__(surface)
        self._numbers(radius_m=radius_m, height_m=height_m)
        self._positive("radius_m", "height_m")

    def make(self, draws: Draws) -> Made:
        r, h = self.draw("radius_m", draws), self.draw("height_m", draws)
        hull = np.concatenate([_ring(r, -h / 2), _ring(r, h / 2)])
        made = self._boxed(Cylinder(r, h), (r, r, h / 2), hull, draws)
        return replace(made, symmetries=_round_symmetries())


class Pill(Thing):
    """A capsule along z of ``length_m`` over all."""

    def __init__(
        self, radius_m: Number = (0.015, 0.03), length_m: Number = (0.07, 0.12), surface: Surface | None = None
    ) -> None:
        super().__init__(surface)
        self._numbers(radius_m=radius_m, length_m=length_m)
        self._positive("radius_m", "length_m")
        if self.ranges["length_m"].low < 2 * self.ranges["radius_m"].high:
            raise ConfigError(
                "is shorter than twice the radius", key="length_m", remedy="make it longer, or use a Ball"
            )

    def make(self, draws: Draws) -> Made:
        r, length = self.draw("radius_m", draws), self.draw("length_m", draws)
        z = length / 2 - r
        hull = np.concatenate([r * _directions() + (0, 0, z), r * _directions() - (0, 0, z)])
        made = self._boxed(Capsule((0.0, 0.0, -z), (0.0, 0.0, z), r), (r, r, length / 2), hull, draws)
        return replace(made, symmetries=_round_symmetries())


class MeshThing(Thing):
    """A PLY mesh.

    Its keypoints are its origin, then ``points`` vertices: the one farthest from their mean, then each the farthest
    from those before. ``unit_m`` is the length of one unit of the file in metres; ``half_turn_axes`` name the axes
    (x, y, z) about which half a turn leaves the looks as they are.

    Raises:
        ConfigError: an unknown axis, a mesh that ``unit_m`` makes larger or smaller than `EXTENT_M`, more points than
            the mesh has.
        DataError: the mesh cannot be read, is empty, or has no vertex colours.
    """

    NOT_IDENTITY = frozenset({"path"})
    keypoint_flip = None  # the mirror image of an object is another object

    def __init__(
        self,
        path: str,
        unit_m: float = 0.001,
        points: int = 8,
        half_turn_axes: str = "",
        vertex_colours: bool = True,
        surface: Surface | None = None,
    ) -> None:
        super().__init__(surface)
        self._numbers(unit_m=unit_m)
        self._positive("unit_m")
        if set(half_turn_axes) - set("xyz"):
            raise ConfigError(f"{half_turn_axes!r} names no axes", key="half_turn_axes", remedy="write x, y, z or yz")
        self.keypoint_names = ("origin", *(f"vertex {i}" for i in range(points)))
        vertices = read_ply(Path(path), colours=vertex_colours).vertices * unit_m
        self._check(path, vertices, points)
        self._keypoints = (
            _vector(np.zeros(3)),
            *(_vector(point) for point in farthest(vertices, points, vertices.mean(0))),
        )
        self._hull = farthest(vertices, min(len(vertices), 200))
        self._shape = Mesh(path, unit_m)
        self._vertex_colours = vertex_colours
        self._symmetries = tuple(_turn(axis, 180) for axis in half_turn_axes)

    def _check(self, path: str, vertices: Floats, points: int) -> None:
        extent, most = float(np.ptp(vertices, axis=0).max()), len(np.unique(vertices, axis=0))
        if not EXTENT_M[0] <= extent <= EXTENT_M[1]:
            raise ConfigError(
                f"the mesh would be {extent:.3g} m large", where=path, key="unit_m",
                remedy="give the length of one unit of the file in metres: 0.001 for millimetres",
            )  # fmt: skip
        if not 1 <= points <= most:
            raise ConfigError(f"the mesh has {most} points", where=path, key="points", remedy=f"give 1 to {most}")

    def identity_extra(self) -> Mapping[str, Any]:
        """The mesh's content."""
        return {"mesh": sha256_file(Path(self._shape.path))}

    def make(self, draws: Draws) -> Made:
        material = replace(self.surface.sample(draws.under("surface")), vertex_colours=self._vertex_colours)
        return Made(self._shape, material, self._keypoints, self._hull, self._symmetries)


def farthest(points: Floats, count: int, away_from: ArrayLike = (0.0, 0.0, 0.0)) -> Floats:
    """``count`` of the points: first the one farthest from ``away_from``, then each the farthest from those before."""
    chosen = [int(np.argmax(((points - np.asarray(away_from)) ** 2).sum(1)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def _vector(point: NDArray[np.generic]) -> Vector:
    x, y, z = (float(it) for it in point)
    return x, y, z


def _turn(axis: str, degrees: float) -> Matrix4:
    matrix = np.eye(4)
    matrix[:3, :3] = about(axis, degrees)
    return matrix4(matrix)


def _round_symmetries() -> tuple[Matrix4, ...]:
    turns = [np.asarray(_turn("z", angle)) for angle in (0, 90, 180, 270)]
    both = turns + [turn @ np.asarray(_turn("x", 180)) for turn in turns]
    return tuple(matrix4(matrix) for matrix in both[1:])


def _ring(radius: float, height: float, count: int = 64) -> Floats:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, height)], axis=1)


def _directions(count: int = 250) -> Floats:
    """Unit vectors spread over the sphere (golden spiral), and the six axes."""
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, math.pi * (1 + 5**0.5) * i
    flat = np.sqrt(1 - z * z)
    spiral = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=1)
    return np.concatenate([spiral, np.eye(3), -np.eye(3)])
