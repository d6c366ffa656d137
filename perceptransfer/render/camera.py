"""Pinhole geometry: projection, rays, and the camera of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.plan import Camera, Matrix3, Matrix4

Floats = NDArray[np.float64]


def matrix3(rows: ArrayLike) -> Matrix3:
    """Nested tuples of a 3 by 3 array."""
    a, b, c = ((float(x), float(y), float(z)) for x, y, z in np.asarray(rows, float))
    return a, b, c


def matrix4(rows: ArrayLike) -> Matrix4:
    """Nested tuples of a 4 by 4 array."""
    a, b, c, d = ((float(x), float(y), float(z), float(w)) for x, y, z, w in np.asarray(rows, float))
    return a, b, c, d


def transform(a_from_b: ArrayLike, points: ArrayLike) -> Floats:
    """Points [N, 3] of frame b in frame a."""
    matrix = np.asarray(a_from_b, float)
    moved: Floats = np.asarray(points, float).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def camera_from_world(camera: Camera) -> Floats:
    """Inverse of the camera's place [4, 4]."""
    return np.asarray(np.linalg.inv(np.asarray(camera.world_from_camera)))


def camera_from_object(camera: Camera, world_from_object: ArrayLike) -> Floats:
    """Pose [4, 4] of an object as the camera sees it."""
    pose: Floats = camera_from_world(camera) @ np.asarray(world_from_object, float)
    return pose


def project(camera: Camera, points: ArrayLike) -> Floats:
    """World points [N, 3] as [N, 3] of u, v in pixels and depth z in metres; u, v are NaN for z <= 0."""
    local = transform(camera_from_world(camera), points)
    z = local[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = (local @ np.asarray(camera.K).T)[:, :2] / z
    return np.hstack([np.where(z > 0, pixels, np.nan), z])


def rays(camera: Camera, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Origin [3] and directions [N, 3] in the world of the rays through pixel coordinates [N].

    The directions have length 1 along the optical axis, so that a ray's parameter is the depth z in metres.
    """
    local = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(np.asarray(camera.K)).T
    place = np.asarray(camera.world_from_camera)
    return place[:3, 3].copy(), np.asarray(local @ place[:3, :3].T)


def look_at(eye: Sequence[float], target: Sequence[float], roll: float = 0.0) -> Matrix4:
    """world_from_camera of a camera at ``eye`` that looks at ``target``, world z up, turned by ``roll`` radians."""
    forward = np.subtract(target, eye).astype(float)
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    place = np.eye(4)
    place[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    place[:3, 3] = eye
    return matrix4(place)


def crop(camera: Camera, left: float, top: float, width: float, height: float, size: tuple[int, int]) -> Camera:
    """Camera of the rectangle at (left, top) resized to ``size`` (width, height in pixels).

    ``left`` and ``top`` are pixel centres, as everywhere: the rectangle reaches from ``left - 0.5`` to
    ``left + width - 0.5``.
    """
    sx, sy = size[0] / width, size[1] / height
    move = np.array([[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5], [0, 0, 1]])
    return replace(camera, K=matrix3(move @ np.asarray(camera.K)), width=size[0], height=size[1])


def crop_around(
    camera: Camera, points: ArrayLike, margin: float, shift: tuple[float, float], size: tuple[int, int]
) -> Camera:
    """Camera of ``size`` pixels around the projection of world points [N, 3], all of them in front of the camera.

    The rectangle has the shape of ``size``, holds ``margin`` times the points' box, and is moved by ``shift`` times
    its own width and height.

    Raises:
        ConfigError: a point is not in front of the camera.
    """
    pixels, depth = np.split(project(camera, points), [2], axis=1)
    if not (depth > 0).all():
        raise ConfigError(
            f"a part of the object is {-float(depth.min()):.3g} m behind the camera, there is nothing to cut around",
            key="distance_m",
            remedy="move the camera farther away: raise viewpoint.distance_m",
        )
    low, high = pixels.min(0), pixels.max(0)
    width = margin * max(high[0] - low[0], (high[1] - low[1]) * size[0] / size[1])
    height = width * size[1] / size[0]
    centre = (low + high) / 2 + np.array([width, height]) * shift
    return crop(camera, centre[0] - width / 2 + 0.5, centre[1] - height / 2 + 0.5, width, height, size)
