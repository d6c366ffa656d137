"""A ray-caster in NumPy: spheres, boxes, cylinders, capsules and planes, with the labels of the big renderer.

One ray a pixel for the labels, four more where the surface changes between neighbours. Lambert and Blinn-Phong
shading, area lights with shadows from a few points, no light between surfaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError, RenderError
from perceptransfer.render import shapes
from perceptransfer.render.camera import rays
from perceptransfer.render.executor import Rendered
from perceptransfer.render.paint import behind
from perceptransfer.render.plan import Body, Camera, Capsules, Plane, ScenePlan, Shape, View
from perceptransfer.render.shading import Hits, shade

Floats = NDArray[np.float64]
OFFSETS = np.array([[-0.25, 0.25, -0.25, 0.25], [-0.25, -0.25, 0.25, 0.25]])[..., None]
"""Of the further rays through a pixel on an edge, [2, 4, 1]."""


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


class Raycaster(Configurable):
    """Executor for scenes without meshes. ``smooth`` sends further rays through pixels on edges."""

    def __init__(self, smooth: bool = True, shadow_rays: int = 1) -> None:
        if shadow_rays < 0:
            raise ConfigError(f"{shadow_rays} rays", key="shadow_rays", remedy="give 0 (no shadows) or more")
        self.smooth, self.shadow_rays = smooth, shadow_rays

    def render(self, plan: ScenePlan) -> Iterator[Rendered]:
        """All views of a plan.

        Raises:
            RenderError: a shape that only another engine draws.
        """
        parts = [part for i, body in enumerate(plan.bodies) for part in _parts(i, body)]
        for view in plan.views:
            yield self._view(plan, view, parts)

    def close(self) -> None:
        """Nothing was started."""

    def _view(self, plan: ScenePlan, view: View, parts: list[Part]) -> Rendered:
        camera = view.camera
        height, width = camera.height, camera.width
        v, u = (it.ravel().astype(float) for it in np.mgrid[:height, :width])
        hits, outline = cast(camera, parts, u, v)
        light = behind(plan.background, camera)
        colour = light.reshape(-1, 3).copy()
        _paint(colour, plan, hits, parts, self.shadow_rays, view.seed)
        if self.smooth:
            edge = _edges(hits, (height, width))
            if len(edge):
                more, _ = cast(camera, parts, *((at[edge] + OFFSETS[axis]).ravel() for axis, at in enumerate((u, v))))
                finer = np.tile(light.reshape(-1, 3)[edge], (4, 1))
                _paint(finer, plan, more, parts, self.shadow_rays, view.seed)
                colour[edge] = finer.reshape(4, -1, 3).mean(0)
        number = np.array([body.instance for body in plan.bodies] + [0])
        instances = number[hits.body].astype(np.uint16)
        place = np.asarray(camera.world_from_camera)[:3, :3]
        normals = np.where(hits.body[:, None] >= 0, hits.normal @ place, 0.0)
        seen = np.bincount(hits.body[hits.body >= 0], minlength=len(plan.bodies))
        visible = {
            body.instance: float(seen[i] / outline[i])
            for i, body in enumerate(plan.bodies)
            if outline[i] and body.instance
        }
        return Rendered(
            view.sample,
            colour.reshape(height, width, 3),
            instances.reshape(height, width),
            np.where(hits.body >= 0, hits.t, 0.0).astype(np.float32).reshape(height, width),
            normals.astype(np.float32).reshape(height, width, 3),
            visible,
        )


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


def cast(camera: Camera, parts: list[Part], u: Floats, v: Floats) -> tuple[Hits, NDArray[np.int64]]:
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


def _hits(parts: list[Part], origin: Floats, ray: Floats, t: Floats, which: NDArray[np.int64]) -> Hits:
    found = which >= 0
    points = origin + np.where(found, t, 0.0)[:, None] * ray
    normal, local, local_normal = np.zeros_like(ray), np.zeros_like(ray), np.zeros_like(ray)
    body = np.full(len(which), -1)
    order = np.argsort(which, kind="stable")
    first = np.searchsorted(which[order], np.arange(len(parts) + 1))
    for number, part in enumerate(parts):
        here = order[first[number] : first[number + 1]]
        if not len(here):
            continue
        own = part.to_local(points[here])
        facing = shapes.normal(part.shape, own)
        local[here], local_normal[here] = own * part.scale, facing
        normal[here] = facing @ part.rotation.T
        body[here] = part.body
    away = np.einsum("ij,ij->i", normal, ray) > 0  # a plane from below, a body from within
    normal[away] *= -1
    return Hits(t, body, points, normal, local, local_normal, ray)


def _paint(
    colour: NDArray[np.float32], plan: ScenePlan, hits: Hits, parts: list[Part], shadow_rays: int, seed: int
) -> None:
    """Put the light of what was met into ``colour`` [N, 3]."""

    def lit(points: Floats, to: Floats) -> NDArray[np.bool_]:
        return ~_blocked(parts, points, to)

    found = np.flatnonzero(hits.body >= 0)
    if len(found):
        colour[found] = shade(plan, hits.take(found), lit if shadow_rays else None, shadow_rays, seed)


def _blocked(parts: list[Part], points: Floats, to: Floats) -> NDArray[np.bool_]:
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


def _edges(hits: Hits, size: tuple[int, int]) -> NDArray[np.int64]:
    """Pixels next to one of another body, or of the same body but turned away or at a distance."""
    body, t = hits.body.reshape(size), np.where(hits.body >= 0, hits.t, 0.0).reshape(size)
    normal = hits.normal.reshape(*size, 3)
    marked = np.zeros(size, bool)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = body[a] != body[b]
        differs |= np.abs(t[a] - t[b]) > 0.02 * np.maximum(t[a], 1e-9)
        differs |= (normal[a] * normal[b]).sum(-1) < 0.8
        marked[a] |= differs
        marked[b] |= differs
    return np.flatnonzero(marked)
