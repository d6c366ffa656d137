"""Mesh files in PLY, ASCII or binary: vertices, vertex colours, triangles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
BYTE_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class MeshData:
    """``vertices`` [N, 3] in the file's units; ``colours`` [N, 3] uint8 as stored, or None."""

    vertices: NDArray[np.float64]
    colours: NDArray[np.uint8] | None


def read_ply(path: Path, colours: bool = False) -> MeshData:
    """Vertices of a mesh.

    Raises:
        DataError: missing, no PLY, without vertices or faces, or without colours where they are needed.
    """
    try:
        content = path.read_bytes()
        head, _, body = content.partition(b"end_header")
        form, elements = _header(head.decode("ascii"))
        counts = {name: count for name, count, _ in elements}
        if not counts.get("vertex") or not counts.get("face"):
            raise DataError("the mesh is empty", where=path, remedy="export it again with its triangles")
        name, count, columns = elements[0]
        if name != "vertex" or any(kind == "list" for _, kind in columns):
            raise ValueError("vertices do not come first")
        table = _table(body.partition(b"\n")[2], form, count, columns)
        vertices = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
    except DataError:
        raise
    except (OSError, ValueError, KeyError, UnicodeDecodeError, IndexError) as error:
        raise DataError(f"not a readable PLY mesh ({error})", where=path, remedy="name a PLY file") from error
    if not np.isfinite(vertices).all():
        raise DataError("vertices that are not finite", where=path, remedy="export the mesh again")
    found = all(channel in table for channel in CHANNELS)
    if colours and not found:
        raise DataError(
            "the mesh has no vertex colours", where=path, remedy="use a mesh with them, or set vertex_colours to false"
        )
    return MeshData(vertices, np.stack([table[c] for c in CHANNELS], axis=1).astype(np.uint8) if found else None)


def _header(text: str) -> tuple[str, list[tuple[str, int, list[tuple[str, str]]]]]:
    lines = [line.split() for line in text.splitlines() if line.split()]
    if not lines or lines[0] != ["ply"]:
        raise ValueError("the first line is not 'ply'")
    form = ""
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    for words in lines[1:]:
        if words[0] == "format":
            form = words[1]
        elif words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property":
            elements[-1][2].append((words[-1], words[1]))
    if form not in BYTE_ORDER:
        raise ValueError(f"unknown format {form!r}")
    return form, elements


def _table(body: bytes, form: str, count: int, columns: list[tuple[str, str]]) -> dict[str, NDArray[np.generic]]:
    if form == "ascii":
        rows = np.array([line.split()[: len(columns)] for line in body.splitlines()[:count]], dtype=np.float64)
        if rows.shape != (count, len(columns)):
            raise ValueError(f"{count} vertices announced, {len(rows)} found")
        return {name: rows[:, i] for i, (name, _) in enumerate(columns)}
    kind = np.dtype([(name, BYTE_ORDER[form] + TYPES[type_]) for name, type_ in columns])
    packed = np.frombuffer(body, kind, count)
    return {name: packed[name] for name, _ in columns}
