"""From what a renderer saw to the row of one sample: poses, boxes, keypoints with visibility."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import RenderError
from perceptransfer.render.camera import camera_from_object, project, transform
from perceptransfer.render.executor import Rendered
from perceptransfer.render.plan import Body, Camera, ScenePlan, View

Floats = NDArray[np.float64]
REACH = 0.005  # metres; a surface point hides itself by less than this
HIDDEN, SEEN = 1, 2  # as in COCO; 0 is not labelled


def keypoint_rows(
    camera: Camera, depth: NDArray[np.float32], points: Floats, reach: tuple[float, ...] = ()
) -> list[list[float]]:
    """[K][x, y, v] of world points [K, 3].

    v is 2 where no surface lies more than ``reach`` before the point at the nearest pixel, 1 where one does, and 0
    for a point out of the picture (with its place) or behind the camera (at 0, 0).
    """
    rows = []
    limits = reach or (REACH,) * len(points)
    for (x, y, z), limit in zip(project(camera, points), limits, strict=True):
        if not z > 0:
            rows.append([0.0, 0.0, 0])
            continue
        column, row = round(x), round(y)
        state = 0
        if 0 <= column < camera.width and 0 <= row < camera.height:
            surface = float(depth[row, column])
            state = SEEN if surface == 0 or surface >= z - limit else HIDDEN
        rows.append([round(float(x), 3), round(float(y), 3), state])
    return rows


def row_of(plan: ScenePlan, view: View, seen: Rendered) -> dict[str, Any]:
    """Everything about a sample but its files.

    Raises:
        RenderError: what the renderer returned does not fit the view.
    """
    camera = seen.camera or view.camera
    size = (camera.height, camera.width)
    if seen.radiance.shape != (*size, 3) or seen.depth.shape != size or seen.instances.shape != size:
        raise RenderError(
            f"sample {view.sample}: the renderer returned {seen.radiance.shape[:2]} pixels, the view has {size}"
        )
    if not np.isfinite(seen.depth).all() or not np.isfinite(seen.radiance).all():
        raise RenderError(f"sample {view.sample}, seed {plan.seed}: the renderer returned values that are not finite")
    labelled = [body for body in plan.bodies if body.category is not None]
    objects = {body.instance: _object(body, camera, seen) for body in labelled}
    row: dict[str, Any] = {"label": view.label, "group": f"scene {plan.index}"}
    target = next((body for body in labelled if body.instance == view.target), None)
    if target is not None:
        points = _keypoints(target, seen)
        motions = [np.eye(4), *(np.asarray(it) for it in target.symmetries)]
        row["keypoints"] = [
            keypoint_rows(camera, seen.depth, _world(target, transform(motion, points)), target.reach)
            for motion in motions
            if len(points)
        ]
    return {
        **row,
        "K": [list(it) for it in camera.K],
        "camera_to_world": [list(it) for it in camera.world_from_camera],
        "attempt": plan.attempt,
        "objects": [it for number, it in objects.items() if it["visible_fraction"] > 0 or number == view.target],
    }


def class_mask(plan: ScenePlan, mask_classes: tuple[str, ...], instances: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Class index at each pixel, 0 for what has no class."""
    table = np.zeros(int(instances.max()) + 1, np.uint8)
    for body in plan.bodies:
        if body.category is not None and body.instance < len(table):
            table[body.instance] = 1 + mask_classes.index(body.category)
    return np.asarray(table[instances])


def _object(body: Body, camera: Camera, seen: Rendered) -> dict[str, Any]:
    pose = camera_from_object(camera, body.world_from_object)
    points = _keypoints(body, seen)
    rows, columns = np.nonzero(seen.instances == body.instance)
    box = [0, 0, 0, 0]
    if len(rows):
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
    return {
        "class": body.category,
        "instance": body.instance,
        "R": pose[:3, :3].tolist(),
        "t": pose[:3, 3].tolist(),
        "visible_fraction": round(seen.visible.get(body.instance, 0.0) if len(rows) else 0.0, 6),
        "box": box,
        "keypoints": keypoint_rows(camera, seen.depth, _world(body, points), body.reach),
        "keypoints_3d": (body.scale * points).tolist(),
    }


def _keypoints(body: Body, seen: Rendered) -> Floats:
    return np.asarray(seen.keypoints.get(body.instance, body.keypoints), dtype=np.float64).reshape(-1, 3)


def _world(body: Body, points: Floats) -> Floats:
    return transform(body.world_from_object, body.scale * points)
