"""Intersections against closed forms and against marching along the ray by signed distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.render import shapes
from perceptransfer.render.plan import Box, Capsule, Cylinder, Plane, Sphere

SHAPES = {
    "sphere": Sphere(0.7),
    "box": Box((1.0, 0.6, 1.4)),
    "cylinder": Cylinder(0.5, 1.2),
    "capsule": Capsule((-0.4, 0.1, -0.3), (0.5, 0.2, 0.4), 0.3),
    "plane": Plane((1.5, 2.0)),
}


def distance(shape: object, p: np.ndarray) -> np.ndarray:
    """Signed distance [N] by formulas that the package does not use."""
    if isinstance(shape, Sphere):
        return np.linalg.norm(p, axis=1) - shape.radius
    if isinstance(shape, Box):
        q = np.abs(p) - np.asarray(shape.size) / 2
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    if isinstance(shape, Cylinder):
        q = np.stack([np.linalg.norm(p[:, :2], axis=1) - shape.radius, np.abs(p[:, 2]) - shape.height / 2], 1)
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    if isinstance(shape, Capsule):
        a, b = np.asarray(shape.start), np.asarray(shape.end)
        h = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        return np.linalg.norm(p - a - h[:, None] * (b - a), axis=1) - shape.radius
    assert isinstance(shape, Plane)
    q = np.abs(p[:, :2]) - np.asarray(shape.size) / 2
    return np.hypot(np.linalg.norm(np.maximum(q, 0), axis=1), p[:, 2])


def march(shape: object, origin: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Sphere tracing: step by the distance until it is tiny; inf where the ray leaves."""
    speed = np.linalg.norm(ray, axis=1)
    t = np.zeros(len(ray))
    for _ in range(4000):
        step = distance(shape, origin + t[:, None] * ray)
        t += np.where(step > 1e-8, np.minimum(step, 1), 0) / speed  # once there, rounding must not carry it on
    return np.where(distance(shape, origin + t[:, None] * ray) < 1e-6, t, np.inf)


def random_rays(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    origin = rng.normal(size=(count, 3))
    origin *= 3 / np.linalg.norm(origin, axis=1, keepdims=True)
    return origin, rng.uniform(-0.8, 0.8, (count, 3)) - origin


@pytest.mark.parametrize("name", SHAPES)
def test_a_ray_meets_a_shape_where_marching_does(name: str) -> None:
    shape, (origin, ray) = SHAPES[name], random_rays()
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shapes.HIT[type(shape)](shape, origin, ray)
    expected = march(shape, origin, ray)
    # Rays that graze the surface to a micrometre may go either way.
    sure = np.isfinite(t) == np.isfinite(expected)
    assert sure.mean() > 0.995 and 0.1 < np.isfinite(t).mean() < 1
    both = np.isfinite(t) & np.isfinite(expected)
    np.testing.assert_allclose(t[both], expected[both], atol=2e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_normals_are_the_gradient_of_the_distance(name: str) -> None:
    shape, (origin, ray) = SHAPES[name], random_rays()
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shapes.HIT[type(shape)](shape, origin, ray)
    points = (origin + t[:, None] * ray)[np.isfinite(t)]
    found, step = shapes.normal(shape, points), 1e-6
    if name == "plane":
        np.testing.assert_array_equal(found, np.tile([0, 0, 1], (len(points), 1)))
        return
    gradient = np.stack(
        [(distance(shape, points + step * e) - distance(shape, points - step * e)) / (2 * step) for e in np.eye(3)], 1
    )
    np.testing.assert_allclose((found * gradient).sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_the_bound_holds_the_shape(name: str) -> None:
    shape, (origin, ray) = SHAPES[name], random_rays()
    centre, radius = shapes.bound(shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shapes.HIT[type(shape)](shape, origin, ray)
    points = (origin + t[:, None] * ray)[np.isfinite(t)]
    assert (np.linalg.norm(points - centre, axis=1) <= radius + 1e-9).all()


def hit(shape: object, origin: tuple[float, float, float], ray: tuple[float, float, float]) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(shapes.HIT[type(shape)](shape, np.array([origin], float), np.array([ray], float))[0])


@given(st.floats(0.1, 3), st.floats(-0.99, 0.99))
def test_a_sphere_from_outside_by_pythagoras(radius: float, offset: float) -> None:
    # A ray along -z that passes the middle at `offset` radii.
    expected = 10 - radius * np.sqrt(1 - offset**2)
    assert hit(Sphere(radius), (offset * radius, 0, 10), (0, 0, -1)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "origin", "ray", "t"),
    [
        (Box((2, 2, 2)), (5, 0, 0), (-2, 0, 0), 2.0),
        (Box((2, 2, 2)), (5, 1.01, 0), (-1, 0, 0), np.inf),
        (Box((2, 2, 2)), (0, 0, 0), (0, 1, 0), 1.0),  # from within
        (Cylinder(1, 2), (0, 0, 5), (0, 0, -1), 4.0),  # along the axis
        (Cylinder(1, 2), (5, 0, 0.5), (-1, 0, 0), 4.0),
        (Cylinder(1, 2), (5, 0, 1.5), (-1, 0, 0), np.inf),
        (Capsule((0, 0, -1), (0, 0, 1), 0.5), (0, 0, 5), (0, 0, -1), 3.5),  # along the axis, from the end
        (Capsule((0, 0, -1), (0, 0, 1), 0.5), (0, 0, -5), (0, 0, 1), 3.5),
        (Capsule((0, 0, -1), (0, 0, 1), 0.5), (3, 0, 0), (-1, 0, 0), 2.5),
        (Capsule((0, 0, -1), (0, 0, 1), 0.5), (3, 0, 1.6), (-1, 0, 0), np.inf),
        (Plane((2, 2)), (0.5, 0.5, 3), (0, 0, -1), 3.0),
        (Plane((2, 2)), (1.5, 0.5, 3), (0, 0, -1), np.inf),
        (Plane((2, 2)), (0.5, 0.5, 3), (0, 0, 1), np.inf),  # behind the ray's start
        (Sphere(1), (0, 0, 0), (0, 0, 1), 1.0),  # from within
    ],
)
def test_by_hand(shape: object, origin: tuple[float, ...], ray: tuple[float, ...], t: float) -> None:
    assert hit(shape, origin, ray) == pytest.approx(t)  # type: ignore[arg-type]
