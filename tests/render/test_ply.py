"""Meshes: ASCII and binary files read alike, bad ones are named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.render.draws import Draws
from perceptransfer.render.ply import read_ply
from perceptransfer.render.things import MeshThing, farthest

POINTS = [(0, 0, 0), (10, 0, 0), (0, 20, 0), (0, 0, 30)]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 8, 7)]
FACES = [(0, 1, 2), (0, 1, 3)]


def header(form: str, vertices: int, faces: int, colours: bool) -> str:
    tint = "".join(f"property uchar {c}\n" for c in ("red", "green", "blue")) if colours else ""
    return (
        f"ply\nformat {form} 1.0\ncomment x\nelement vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\n{tint}element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    )


def write(path: Path, form: str = "ascii", colours: bool = True, vertices: int = 4, faces: int = 2) -> Path:
    text = header(form, vertices, faces, colours)
    rows = [(*p, *c) if colours else p for p, c in zip(POINTS, COLOURS, strict=True)][:vertices]
    if form == "ascii":
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        body += "".join("3 " + " ".join(map(str, face)) + "\n" for face in FACES[:faces])
        path.write_text(text + body)
    else:
        order = "<" if "little" in form else ">"
        packed = b"".join(struct.pack(order + "3f" + "3B" * colours, *row) for row in rows)
        packed += b"".join(struct.pack(order + "B3i", 3, *face) for face in FACES[:faces])
        path.write_bytes(text.encode() + packed)
    return path


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("colours", [True, False])
def test_all_forms_read_alike(tmp_path: Path, form: str, colours: bool) -> None:
    mesh = read_ply(write(tmp_path / "a.ply", form, colours), colours=colours)
    np.testing.assert_array_equal(mesh.vertices, POINTS)
    assert (mesh.colours.tolist() == [list(c) for c in COLOURS]) if colours else (mesh.colours is None)


def test_bad_meshes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    cases = {
        "not a readable PLY": lambda: path.unlink(missing_ok=True),
        "the mesh is empty": lambda: write(path, vertices=0, faces=0),
        "mesh is empty": lambda: write(path, faces=0),
        "no vertex colours": lambda: write(path, colours=False),
        "first line is not 'ply'": lambda: path.write_text("solid cube\nend_header"),
        "announced": lambda: path.write_text(header("ascii", 4, 2, True) + "1 2 3 4 5 6\n"),
        "unknown format": lambda: path.write_text(header("utf8", 4, 2, True)),
        "not finite": lambda: path.write_text(header("ascii", 1, 1, True) + "nan 0 0 1 1 1\n3 0 0 0\n"),
    }
    for problem, damage in cases.items():
        damage()
        with pytest.raises(DataError, match=problem) as caught:
            read_ply(path, colours=True)
        assert str(path) in str(caught.value)
    packed = write(path, "binary_little_endian").read_bytes()
    path.write_bytes(packed[:-60])
    with pytest.raises(DataError, match="not a readable PLY"):
        read_ply(path)


def test_a_mesh_as_a_thing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply")
    thing = MeshThing(str(path), points=3, half_turn_axes="z")
    made = thing.make(Draws(0))
    # Farthest from the origin, then farthest from it, then from both; millimetres become metres.
    np.testing.assert_allclose(made.keypoints, [(0, 0, 0), (0, 0, 0.03), (0, 0.02, 0), (0.01, 0, 0)])
    assert thing.keypoint_names == ("origin", "vertex 0", "vertex 1", "vertex 2") and thing.keypoint_flip is None
    assert made.material.vertex_colours and len(made.symmetries) == 1
    np.testing.assert_allclose(np.asarray(made.symmetries[0]) @ [1, 2, 3, 1], [-1, -2, 3, 1], atol=1e-12)
    with pytest.raises(ConfigError, match="names no axes"):
        MeshThing(str(path), half_turn_axes="w")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"unit_m": 1.0}, r"30 m large \(key: unit_m\)[\s\S]*0\.001 for millimetres"),
        ({"unit_m": 1e-6}, r"3e-05 m large \(key: unit_m\)"),
        ({"points": 0}, r"has 4 points \(key: points\)[\s\S]*give 1 to 4"),
        ({"points": 5}, r"has 4 points \(key: points\)"),
    ],
)
def test_a_mesh_of_another_unit_or_with_too_few_points_is_refused(
    tmp_path: Path, changes: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        MeshThing(str(write(tmp_path / "a.ply")), **{"points": 3, **changes})  # type: ignore[arg-type]
    assert "a.ply" in str(caught.value)


def test_each_point_is_the_farthest_from_those_before() -> None:
    points = np.random.default_rng(0).normal(size=(60, 3))
    chosen = farthest(points, 8)
    assert np.linalg.norm(chosen[0]) == pytest.approx(max(map(np.linalg.norm, points)))
    for i in range(1, 8):
        gaps = [min(np.linalg.norm(p - q) for q in chosen[:i]) for p in points]
        assert min(np.linalg.norm(chosen[i] - q) for q in chosen[:i]) == pytest.approx(max(gaps))
