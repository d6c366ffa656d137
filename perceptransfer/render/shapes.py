"""Where rays meet shapes: closed forms, in the shape's own frame.

Every function takes origins and directions [N, 3] (directions of any length) and gives the smallest parameter
t > 0 with origin + t direction on the surface [N], inf where there is none. Rays that start inside meet the surface
from within.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.plan import Box, Capsule, Cylinder, Plane, Sphere

Floats = NDArray[np.floating[Any]]
NEAR = 1e-6


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", a, b))


def _first(*candidates: Floats) -> Floats:
    """Smallest parameter that is positive and finite."""
    best = np.full(candidates[0].shape, np.inf)
    for t in candidates:
        best = np.where((t > NEAR) & (t < best), t, best)
    return best


def _roots(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """Both solutions of a t² + 2 b t + c = 0, NaN without."""
    root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (-b + root) / a


def sphere(shape: Sphere, origin: Floats, ray: Floats) -> Floats:
    """|p|² = r²."""
    return _first(*_roots(_dot(ray, ray), _dot(origin, ray), _dot(origin, origin) - shape.radius**2))


def box(shape: Box, origin: Floats, ray: Floats) -> Floats:
    """Slabs: the last entry, or from within the first exit."""
    half = np.asarray(shape.size) / 2
    a, b = (-half - origin) / ray, (half - origin) / ray
    enter, leave = np.fmin(a, b).max(1), np.fmax(a, b).min(1)
    return np.where(enter <= leave, _first(enter, leave), np.inf)


def cylinder(shape: Cylinder, origin: Floats, ray: Floats) -> Floats:
    """The side x² + y² = r² within the height, and the two discs."""
    half, square = shape.height / 2, shape.radius**2
    o, d = origin[:, :2], ray[:, :2]
    candidates = []
    for t in _roots(_dot(d, d), _dot(o, d), _dot(o, o) - square):
        candidates.append(np.where(np.abs(origin[:, 2] + t * ray[:, 2]) <= half, t, np.inf))
    for end in (-half, half):
        t = (end - origin[:, 2]) / ray[:, 2]
        flat = o + t[:, None] * d
        candidates.append(np.where(_dot(flat, flat) <= square, t, np.inf))
    return _first(*candidates)


def capsule(shape: Capsule, origin: Floats, ray: Floats) -> Floats:
    """The side where a ray enters it between the end points, else the sphere at the end beyond which it enters.

    A ray that misses the endless cylinder misses the spheres inside it as well. Only for rays that start outside.
    """
    start = np.asarray(shape.start)
    axis = np.asarray(shape.end) - start
    length = float(axis @ axis)
    away, square = origin - start, shape.radius**2
    along_ray, along = ray @ axis, away @ axis
    ray_ray, away_ray, away_away = _dot(ray, ray), _dot(away, ray), _dot(away, away)
    side, _ = _roots(
        length * ray_ray - along_ray**2,
        length * away_ray - along * along_ray,
        length * away_away - along**2 - square * length,
    )
    place = along + side * along_ray
    beyond = np.where(np.isfinite(place), place > length, along_ray < 0)  # along the axis: the end it comes from
    # The sphere around the end: its centre is `start + axis`, so the dot products only move by those with the axis.
    b = np.where(beyond, away_ray - along_ray, away_ray)
    c = np.where(beyond, away_away - 2 * along + length, away_away) - square
    cap, _ = _roots(ray_ray, b, c)
    return _first(np.where((place >= 0) & (place <= length), side, cap))


def plane(shape: Plane, origin: Floats, ray: Floats) -> Floats:
    """Z = 0 within the edges."""
    t = -origin[:, 2] / ray[:, 2]
    x, y = origin[:, 0] + t * ray[:, 0], origin[:, 1] + t * ray[:, 1]
    inside = (np.abs(x) <= shape.size[0] / 2) & (np.abs(y) <= shape.size[1] / 2)
    return _first(np.where(inside, t, np.inf))


def normal(shape: Any, points: Floats) -> Floats:
    """Outward unit normals [N, 3] of surface points; a plane's looks up."""
    if isinstance(shape, Sphere):
        out = points
    elif isinstance(shape, Box):
        # The face is the one whose distance from the middle, in half edges, is largest.
        relative = points / (np.asarray(shape.size) / 2)
        out = np.where(np.arange(3) == np.abs(relative).argmax(1)[:, None], np.sign(relative), 0.0)
    elif isinstance(shape, Cylinder):
        flat = points * (1.0, 1.0, 0.0)
        beyond = np.abs(points[:, 2]) - shape.height / 2 > np.hypot(points[:, 0], points[:, 1]) - shape.radius
        out = np.where(beyond[:, None], np.sign(points) * (0.0, 0.0, 1.0), flat)
    elif isinstance(shape, Capsule):
        start = np.asarray(shape.start)
        axis = np.asarray(shape.end) - start
        place = np.clip((points - start) @ axis / max(float(axis @ axis), 1e-30), 0, 1)
        out = points - start - place[:, None] * axis
    else:
        out = np.broadcast_to((0.0, 0.0, 1.0), points.shape)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def bound(shape: Any) -> tuple[Floats, float]:
    """Centre [3] and radius of a sphere around the shape."""
    if isinstance(shape, Sphere):
        return np.zeros(3), shape.radius
    if isinstance(shape, Box):
        return np.zeros(3), float(np.linalg.norm(shape.size)) / 2
    if isinstance(shape, Cylinder):
        return np.zeros(3), float(np.hypot(shape.radius, shape.height / 2))
    if isinstance(shape, Capsule):
        start, end = np.asarray(shape.start), np.asarray(shape.end)
        return (start + end) / 2, float(np.linalg.norm(end - start)) / 2 + shape.radius
    return np.zeros(3), float(np.hypot(*shape.size)) / 2


HIT: dict[type, Callable[[Any, Floats, Floats], Floats]] = {
    Sphere: sphere, Box: box, Cylinder: cylinder, Capsule: capsule, Plane: plane,
}  # fmt: skip
