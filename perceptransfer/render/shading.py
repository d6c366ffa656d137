"""Light on surfaces: Lambert with Blinn-Phong gloss, shadows of area lights by a few points each."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.paint import on_surface
from perceptransfer.render.plan import Light, Material, ScenePlan
from perceptransfer.render.tracing import Hits

Floats = NDArray[np.float64]
LIFT = 1e-4  # shadow rays start this far off the surface, in metres
Blocked = Callable[[Floats, Floats], NDArray[np.bool_]]


def shade(plan: ScenePlan, hits: Hits, blocked: Blocked | None, shadow_rays: int, seed: int) -> NDArray[np.float32]:
    """Radiance [N, 3] that leaves the points towards the viewer.

    ``blocked(points, to)`` says whether anything stands between points and points + to; None: no shadows.
    """
    albedo = np.zeros((len(hits.t), 3), np.float32)
    gloss = np.zeros((len(hits.t), 2))
    for i in np.unique(hits.body):
        here = hits.body == i
        material = plan.bodies[i].material
        albedo[here] = on_surface(material.colour, material.texture, hits.local[here], hits.local_normal[here])
        gloss[here] = _gloss(material)
    view = -_unit(hits.ray)
    shiny = bool(gloss[:, 0].any())
    out = np.zeros_like(albedo)
    for number, light in enumerate(plan.lights):
        colour = np.asarray(light.colour, np.float32)
        if light.kind == "world":
            # From the half-space above the surface; what lies low sees a little less of it.
            open_share = 0.75 + 0.25 * hits.normal[:, 2:]
            out += (light.energy * open_share * colour * albedo).astype(np.float32)
            continue
        for to, irradiance in _samples(light, hits.point, max(1, shadow_rays), (seed, number)):
            direction = _unit(to)
            cosine = np.einsum("ij,ij->i", direction, hits.normal)
            strength = np.where(cosine > 0, irradiance * np.maximum(cosine, 0), 0.0)
            if blocked is not None:
                rows = np.flatnonzero(strength > 0)
                dark = blocked(hits.point[rows] + LIFT * hits.normal[rows], to[rows])
                strength[rows[dark]] = 0
            reflected = albedo / math.pi
            if shiny:
                shine = np.maximum(np.einsum("ij,ij->i", _unit(direction + view), hits.normal), 0) ** gloss[:, 1]
                # (n + 8) / 8π keeps the energy of the lobe, whatever its width.
                reflected = reflected + (gloss[:, 0] * (gloss[:, 1] + 8) / (8 * math.pi) * shine)[:, None]
            out += (strength[:, None] * colour * reflected).astype(np.float32)
    return out


def _unit(vectors: Floats) -> Floats:
    """Vectors [N, 3] of length 1; zero stays zero."""
    square = np.einsum("ij,ij->i", vectors, vectors)
    return np.asarray(vectors / np.sqrt(np.maximum(square, 1e-24))[:, None])


def _gloss(material: Material) -> tuple[float, float]:
    """Share mirrored (4 % at specular 0.5, as in Blender) and exponent of the lobe."""
    rough = max(material.roughness, 0.05) ** 2
    return 0.08 * material.specular, 2 / rough**2 - 2 if rough < 1 else 0.0


def _samples(light: Light, points: Floats, count: int, seed: tuple[int, int]) -> list[tuple[Floats, Floats]]:
    """Vectors [N, 3] to points of a light, and the irradiance [N] each gives to a surface that faces it."""
    if light.kind == "sun":
        to = np.broadcast_to(-1e3 * np.asarray(light.direction), points.shape)
        return [(to, np.full(len(points), light.energy))]
    position = np.asarray(light.position)
    if light.kind == "point" or light.size <= 0:
        to = position - points
        return [(to, light.energy / (4 * math.pi * np.einsum("ij,ij->i", to, to)))]
    axis = np.asarray(light.direction)
    side = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    up = np.cross(axis, side)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        # Another point of the lamp for every surface point: soft shadows with grain instead of steps.
        a, b = light.size * (rng.random((2, len(points), 1)) - 0.5)
        to = position + a * side + b * up - points
        square = np.einsum("ij,ij->i", to, to)
        facing = np.maximum(-(to @ axis) / np.sqrt(square), 0)
        found.append((to, light.energy / math.pi * facing / square / count))
    return found
