"""What the worker computes without Blender: outlines on the picture, and shapes as parts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from perceptransfer.render import blender_env


def load(name: str) -> ModuleType:
    """A module of the worker's folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"worker_{name}", blender_env.WORKER.with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


outline, shapes, worker = load("outline"), load("shapes"), load("worker")
HEIGHT, WIDTH = 12, 17
CENTRES = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 2)


@given(st.integers(0, 10_000))
def test_the_outline_is_what_matplotlib_finds_inside_the_triangles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-6, 22, (9, 2))
    triangles = rng.integers(0, 9, (5, 3))
    triangles = triangles[[len(set(row)) == 3 for row in triangles.tolist()]]
    expected = np.zeros(HEIGHT * WIDTH, bool)
    for row in triangles:
        expected |= Polygon(points[row]).contains_points(CENTRES)
    assert (outline.covered(points, triangles, WIDTH, HEIGHT) == expected.reshape(HEIGHT, WIDTH)).all()


def test_a_vertex_behind_the_camera_takes_its_triangles_out() -> None:
    points = np.array([[0.0, 0], [9, 0], [0, 9], [np.nan, np.nan]])
    one = outline.covered(points, np.array([[0, 1, 2]]), WIDTH, HEIGHT)
    assert one.sum() == 55  # 10 + 9 + ... + 1 pixel centres of a right triangle with legs of 9
    assert (outline.covered(points, np.array([[0, 1, 2], [0, 1, 3]]), WIDTH, HEIGHT) == one).all()
    assert not outline.covered(points, np.array([[0, 1, 3]]), WIDTH, HEIGHT).any()
    assert not outline.covered(points[:3] + 100, np.array([[0, 1, 2]]), WIDTH, HEIGHT).any()


def test_only_what_is_the_plan_s_fault_is_told_as_such() -> None:
    for error in (LookupError("no bone"), RuntimeError("mesh"), OSError("load: hand.blend is no Blender file")):
        assert worker.refusal(error)["kind"] == "input"
    told = worker.refusal(OSError(28, "No space left on device", "/dev/shm/colours.exr"))
    assert (told["kind"], told["errno"], told["file"]) == ("system", 28, "/dev/shm/colours.exr")


def body(shape: dict[str, object], scale: float = 1.0) -> dict[str, object]:
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = [1, 2, 3]
    return {"shape": shape, "world_from_object": pose.tolist(), "scale": scale}


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_of_a_capsule_lie_where_the_capsule_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, end, radius, scale = rng.normal(size=3), rng.normal(size=3), 0.3, 1.7
    parts = shapes.parts_of(body({"shape": "Capsule", "start": start, "end": end, "radius": radius}, scale))
    assert [part.kind for part in parts] == ["sphere", "sphere", "cylinder"]
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    a, b = (scale * turn @ it + [1, 2, 3] for it in (start, end))
    assert np.allclose(parts[0].place, a) and np.allclose(parts[1].place, b)
    assert np.allclose(parts[0].stretch, scale * radius)
    rod = parts[2]
    assert np.allclose(rod.rotation @ rod.rotation.T, np.eye(3)) and np.linalg.det(rod.rotation) > 0
    ends = [rod.place + rod.rotation @ (rod.stretch * [0, 0, z]) for z in (-0.5, 0.5)]
    assert np.allclose(ends, [a, b])


def test_other_shapes_are_one_part() -> None:
    for shape, kind, stretch in (
        ({"shape": "Sphere", "radius": 0.2}, "sphere", [0.4, 0.4, 0.4]),
        ({"shape": "Box", "size": [1, 2, 3]}, "box", [2, 4, 6]),
        ({"shape": "Cylinder", "radius": 0.1, "height": 3}, "cylinder", [0.2, 0.2, 6]),
        ({"shape": "Mesh", "path": "a b.ply", "unit": 0.001}, "mesh a b.ply", [0.002, 0.002, 0.002]),
        ({"shape": "RiggedHand", "path": "h.blend", "mirrored": True}, "hand h.blend", [-2, 2, 2]),
    ):
        (part,) = shapes.parts_of(body(shape, 2.0))
        assert part.kind == kind and np.allclose(part.stretch, stretch) and np.allclose(part.place, [1, 2, 3])


def test_a_capsule_without_length_is_a_ball() -> None:
    parts = shapes.parts_of(body({"shape": "Capsule", "start": [0, 0, 0], "end": [0, 0, 0], "radius": 1.0}))
    assert [part.kind for part in parts] == ["sphere"]


def test_the_worker_knows_every_shape_of_a_plan() -> None:
    from perceptransfer.render.codec import SHAPES

    source = Path(shapes.__file__).read_text()
    assert [name for name in SHAPES if f'"{name}"' not in source] == []
