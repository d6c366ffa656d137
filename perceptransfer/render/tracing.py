"""Rays through a scene: what they meet first, and what stands between two points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import RenderError
from perceptransfer.render import shapes
from perceptransfer.render.camera import rays
from perceptransfer.render.plan import Body, Camera, Capsules, Plane, Shape

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """The M rays of N that met something, by body.

    ``row`` is the ray's number, ``t`` its parameter, ``body`` the body's index; ``point`` and ``normal`` are in the
    world, ``local`` and ``local_normal`` in the body's frame, ``ray`` are the directions. ``normal`` looks towards the
    viewer.
    """

    row: Rows
    t: Floats
    body: Rows
    point: Floats
    normal: Floats
    local: Floats
    local_normal: Floats
    ray: Floats


@dataclass(frozen=True)
class Part:
    """One convex piece of a body with its frame; ``scale`` is applied to the shape before the pose."""

    body: int
    shape: Shape
    rotation: Floats
    position: Floats
    scale: float
    centre: Floats
    radius: float

    def to_local(self, points: Floats) -> Floats:
        """World points in the shape's own frame."""
        local: Floats = (points - self.position) @ self.rotation / self.scale
        return local

    def meet(self, origin: Floats, ray: Floats) -> Floats:
        """Parameter [N] at which rays [N, 3] meet this part, inf for none."""
        local_ray = ray @ self.rotation / self.scale
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(shapes.HIT[type(self.shape)](self.shape, self.to_local(origin), local_ray), np.float64)


def parts_of(bodies: tuple[Body, ...]) -> list[Part]:
    """The convex pieces of bodies.

    Raises:
        RenderError: a shape that only another engine draws.
    """
    return [part for index, body in enumerate(bodies) for part in _parts(index, body)]


def _parts(index: int, body: Body) -> list[Part]:
    pieces = body.shape.parts if isinstance(body.shape, Capsules) else (body.shape,)
    place = np.asarray(body.world_from_object)
    found = []
    for shape in pieces:
        if type(shape) not in shapes.HIT:
            raise RenderError(
                f"the ray-caster draws no {type(shape).__name__} (body {body.name!r})",
                key="engine",
                remedy="--engine blenderproc, or a scene of spheres, boxes, cylinders and capsules",
            )
        centre, radius = shapes.bound(shape)
        world = place[:3, :3] @ (body.scale * centre) + place[:3, 3]
        found.append(Part(index, shape, place[:3, :3], place[:3, 3], body.scale, world, body.scale * radius))
    return found


def cast(camera: Camera, parts: list[Part], u: Floats, v: Floats) -> tuple[Hits, Rows]:
    """What rays through pixels (u, v) [N] meet first, and for each body the number of rays that meet it at all."""
    origin, ray = rays(camera, u, v)
    best = np.full(len(u), np.inf)
    which = np.full(len(u), -1)
    bodies = max((part.body for part in parts), default=-1) + 1
    met = np.zeros((bodies, len(u)), bool)
    for number, part in enumerate(parts):
        left, right, top, bottom = _extent(camera, part)
        near = np.flatnonzero((u >= left) & (u <= right) & (v >= top) & (v <= bottom))
        if not len(near):
            continue
        t = part.meet(np.broadcast_to(origin, (len(near), 3)), ray[near])
        met[part.body, near] |= np.isfinite(t)
        closer = t < best[near]
        best[near[closer]], which[near[closer]] = t[closer], number
    return _hits(parts, origin, ray, best, which), met.sum(1)


def _extent(camera: Camera, part: Part) -> tuple[float, float, float, float]:
    """Smallest and largest u, then v, of the box around the sphere around a part; the whole plane if it is too near."""
    place = np.asarray(camera.world_from_camera)
    middle = (part.centre - place[:3, 3]) @ place[:3, :3]
    near, far = middle[2] - part.radius, middle[2] + part.radius
    if far <= 0:
        return 0.0, -1.0, 0.0, -1.0  # behind the camera: nothing
    if near <= 1e-3:
        return -np.inf, np.inf, -np.inf, np.inf
    bounds = []
    for axis in (0, 1):
        focal, centre = camera.K[axis][axis], camera.K[axis][2]
        low, high = middle[axis] - part.radius, middle[axis] + part.radius
        bounds += [
            focal * low / (near if low < 0 else far) + centre,
            focal * high / (far if high < 0 else near) + centre,
        ]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def _hits(parts: list[Part], origin: Floats, ray: Floats, t: Floats, which: Rows) -> Hits:
    row = np.argsort(which, kind="stable")[np.count_nonzero(which < 0) :]
    ends = np.searchsorted(which[row], np.arange(len(parts) + 1))
    t, ray = t[row], ray[row]
    point = origin + t[:, None] * ray
    normal, local, local_normal = np.empty_like(ray), np.empty_like(ray), np.empty_like(ray)
    body = np.empty(len(row), dtype=np.int64)
    for number, part in enumerate(parts):
        here = slice(ends[number], ends[number + 1])
        if here.start < here.stop:
            own = part.to_local(point[here])
            facing = shapes.normal(part.shape, own)
            local[here], local_normal[here] = own * part.scale, facing
            normal[here] = facing @ part.rotation.T
            body[here] = part.body
    normal[np.einsum("ij,ij->i", normal, ray) > 0] *= -1  # a plane from below, a body from within
    return Hits(row, t, body, point, normal, local, local_normal, ray)


def blocked_between(parts: list[Part], points: Floats, to: Floats) -> NDArray[np.bool_]:
    """Whether anything stands between points [N, 3] and points + to."""
    blocked = np.zeros(len(points), bool)
    square = np.einsum("ij,ij->i", to, to)
    for part in parts:
        if isinstance(part.shape, Plane):
            continue  # a table casts no shadow on what stands on it
        away = part.centre - points
        along = np.einsum("ij,ij->i", away, to)
        near = (np.einsum("ij,ij->i", away, away) - part.radius**2) * square <= along**2
        near &= (along > 0) & ~blocked
        rows = np.flatnonzero(near)
        if len(rows):
            blocked[rows] = part.meet(points[rows], to[rows]) < 1
    return blocked
