"""Writes the OpenEXR files that the tests need; independent of the reader."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_exr(path: Path, channels: dict[str, np.ndarray]) -> None:
    """Uncompressed scan lines, channels in alphabetical order as the format wants it."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    kinds = {"uint32": 0, "float16": 1, "float32": 2}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iBxxxii", kinds[channels[name].dtype.name], 0, 1, 1) for name in names
    )
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    header = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in (
            ("channels", "chlist", listed + b"\0"),
            ("compression", "compression", b"\0"),
            ("dataWindow", "box2i", box),
            ("displayWindow", "box2i", box),
            ("lineOrder", "lineOrder", b"\0"),
            ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        )
    )
    start = struct.pack("<II", 20000630, 2) + header + b"\0"
    lines = []
    for y in range(height):
        data = b"".join(channels[name][y].tobytes() for name in names)
        lines.append(struct.pack("<ii", y, len(data)) + data)
    first = len(start) + 8 * height
    offsets = np.cumsum([first, *(len(line) for line in lines[:-1])]).astype("<u8").tobytes()
    path.write_bytes(start + offsets + b"".join(lines))
