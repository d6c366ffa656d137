"""A ray-caster in NumPy: spheres, boxes, cylinders, capsules and planes, with the labels of the big renderer.

One ray a pixel for the labels, four more for the colour where the surface changes between neighbours. Lambert and
Blinn-Phong shading, soft shadows, no light between surfaces.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.render.executor import Rendered
from perceptransfer.render.paint import behind
from perceptransfer.render.plan import ScenePlan, View
from perceptransfer.render.shading import shade
from perceptransfer.render.tracing import Hits, Part, blocked_between, cast, parts_of

OFFSETS = np.array([[-0.25, 0.25, -0.25, 0.25], [-0.25, -0.25, 0.25, 0.25]])[..., None]
"""Of the further rays through a pixel on an edge, [2, 4, 1]."""


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
        parts = parts_of(plan.bodies)
        for view in plan.views:
            yield self._view(plan, view, parts)

    def close(self) -> None:
        """Nothing was started."""

    def _view(self, plan: ScenePlan, view: View, parts: list[Part]) -> Rendered:
        camera = view.camera
        size = (camera.height, camera.width)
        v, u = (it.ravel().astype(float) for it in np.mgrid[: size[0], : size[1]])
        hits, outline = cast(camera, parts, u, v)
        light = behind(plan.background, camera).reshape(-1, 3)
        colour = light.copy()
        self._paint(colour, plan, view, hits, parts)
        body, depth, normals = np.full(len(u), -1), np.zeros(len(u), np.float32), np.zeros((len(u), 3), np.float32)
        body[hits.row], depth[hits.row] = hits.body, hits.t
        normals[hits.row] = hits.normal @ np.asarray(camera.world_from_camera)[:3, :3]
        if self.smooth:
            edge = _edges(body.reshape(size), depth.reshape(size), normals.reshape(*size, 3))
            more, _ = cast(camera, parts, *((at[edge] + OFFSETS[axis]).ravel() for axis, at in enumerate((u, v))))
            finer = np.tile(light[edge], (4, 1))
            self._paint(finer, plan, view, more, parts)
            colour[edge] = finer.reshape(4, -1, 3).mean(0)
        number = np.array([it.instance for it in plan.bodies] + [0])  # the last is for -1
        seen = np.bincount(hits.body, minlength=len(plan.bodies))
        visible = {
            it.instance: float(seen[i] / outline[i]) for i, it in enumerate(plan.bodies) if outline[i] and it.instance
        }
        return Rendered(
            view.sample,
            colour.reshape(*size, 3),
            number[body].astype(np.uint16).reshape(size),
            depth.reshape(size),
            normals.reshape(*size, 3),
            visible,
        )

    def _paint(self, colour: NDArray[np.float32], plan: ScenePlan, view: View, hits: Hits, parts: list[Part]) -> None:
        """Put the light of what was met into ``colour`` [N, 3]."""
        if len(hits.row):
            blocked = (lambda points, to: blocked_between(parts, points, to)) if self.shadow_rays else None
            colour[hits.row] = shade(plan, hits, blocked, self.shadow_rays, view.seed)


def _edges(body: NDArray[np.int64], depth: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.int64]:
    """Pixels next to one of another body, or of the same body but turned away or at a distance."""
    marked = np.zeros(body.shape, bool)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = body[a] != body[b]
        differs |= np.abs(depth[a] - depth[b]) > 0.02 * depth[a]
        differs |= (body[a] >= 0) & (np.einsum("ijk,ijk->ij", normal[a], normal[b]) < 0.6)
        marked[a] |= differs
        marked[b] |= differs
    return np.flatnonzero(marked)
