"""Reads OpenEXR pictures as Blender writes them for machines: uncompressed scan lines, any number of layers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import ImageError

MAGIC = 20000630
TYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}


def read_exr(path: Path) -> dict[str, NDArray[np.generic]]:
    """Channels by name, each [H, W]. Source: openexr.com, "OpenEXR File Layout", version 2, single part.

    Raises:
        ImageError: another kind of file, or one that ends too early.
    """
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ImageError(
            f"no uncompressed scan-line OpenEXR ({error})", where=path, remedy="render it again"
        ) from error


def _parse(data: bytes) -> dict[str, NDArray[np.generic]]:
    magic, version = struct.unpack_from("<II", data)
    if magic != MAGIC or version & 0x1E00 & ~0x400:  # tiles, deep data or several parts; 0x400 only means long names
        raise ValueError("wrong kind")
    header, at = _header(data, 8)
    if header["compression"] != b"\0":
        raise ValueError("compressed")
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    layout = np.dtype([(name, kind, (width,)) for name, kind in _channels(header["channels"])])
    line = np.dtype([("y", "<i4"), ("size", "<i4"), ("channels", layout)])
    start = at + 8 * height  # behind the table of offsets: lines are written one after another
    lines = np.frombuffer(data, line, height, start)
    if (lines["size"] != layout.itemsize).any() or (lines["y"] != np.arange(top, bottom + 1)).any():
        raise ValueError("lines out of order")
    return {name: lines["channels"][name] for name in layout.names or ()}


def _header(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    header = {}
    while data[at]:
        name, at = _word(data, at)
        _, at = _word(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        header[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return header, at + 1


def _channels(data: bytes) -> list[tuple[str, np.dtype[Any]]]:
    channels: list[tuple[str, np.dtype[Any]]] = []
    at = 0
    while data[at]:
        name, at = _word(data, at)
        (kind,) = struct.unpack_from("<i", data, at)
        channels.append((name, TYPES[kind]))
        at += 16
    return channels


def _word(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1
