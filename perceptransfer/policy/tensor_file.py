"""Named arrays in one file of the safetensors format, read and written without that library.

The format is a little-endian 64-bit length, that many bytes of JSON (type, shape and place of each array), then the
values. On the robot it has to be read where only torch, or only NumPy, is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from perceptransfer.core.errors import BundleError
from perceptransfer.core.files import write_atomic
from perceptransfer.policy.arrays import Array, Kind, dtype_of, from_raw, raw

_CODES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "uint8": "U8"}
_NAMES = {code: name for name, code in _CODES.items()}


def pack(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """The file's content."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    values, place = [], 0
    for name in sorted(arrays):
        content = raw(arrays[name])
        header[name] = {
            "dtype": _CODES[dtype_of(arrays[name])],
            "shape": [int(length) for length in arrays[name].shape],
            "data_offsets": [place, place + len(content)],
        }
        place += len(content)
        values.append(content)
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *values])


def unpack(content: bytes, kind: Kind, where: Path) -> dict[str, Array]:
    """Arrays of a file's content.

    Raises:
        BundleError: not such a file, or one cut short; ``where`` is named.
    """
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            values = content[start + begin : start + end]
            if len(values) != end - begin:
                raise ValueError(f"{name} is cut short")
            found[name] = from_raw(values, _NAMES[entry["dtype"]], tuple(entry["shape"]), kind)
        return found
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise BundleError(f"cannot be read ({error})", where=where, remedy="make the file again") from error


def write_arrays(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write atomically.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    write_atomic(path, pack(arrays, metadata))
