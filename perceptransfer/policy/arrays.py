"""Bytes of torch tensors and NumPy arrays, for programs that have only one of the two."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal

from perceptransfer.core.errors import MissingExtraError

Array = Any  # a torch.Tensor or a numpy.ndarray
Kind = Literal["torch", "numpy"]


def kind_of(array: object) -> Kind | None:
    """Which library an array belongs to, found without importing either; ``None`` for anything else."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    return "numpy" if numpy is not None and isinstance(array, numpy.ndarray) else None


def dtype_of(array: Array) -> str:
    """``uint8``, ``float32`` and so on, for either library."""
    return str(array.dtype).removeprefix("torch.")


def raw(array: Array) -> bytes:
    """The values' bytes in row-major order."""
    if kind_of(array) == "numpy":
        content: bytes = array.tobytes()
        return content
    tensor = array.detach().cpu().contiguous()
    # Without NumPy a tensor has no buffer; its storage would be read one Python integer at a time.
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()) if tensor.numel() else b""


def from_raw(content: bytes, dtype: str, shape: tuple[int, ...], kind: Kind) -> Array:
    """Inverse of `raw`."""
    if kind == "torch":
        torch = _library("torch")
        if not content:
            return torch.empty(shape, dtype=getattr(torch, dtype))
        return torch.frombuffer(bytearray(content), dtype=getattr(torch, dtype)).reshape(shape)
    return _library("numpy").frombuffer(bytearray(content), dtype=dtype).reshape(shape)


def join(arrays: list[Array], kind: Kind) -> Array:
    """One array of several, along their first axis."""
    if kind == "torch":
        return _library("torch").cat(arrays)
    return _library("numpy").concatenate(arrays)


def hash_arrays(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, types, shapes and bytes of all arrays, independent of their order."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name}|{dtype_of(arrays[name])}|{tuple(arrays[name].shape)}|".encode())
        total.update(raw(arrays[name]))
    return total.hexdigest()


def relative_error(found: Array, expected: Array) -> float:
    """Largest difference over the largest expected value, image by image, the worst image counting.

    Shapes ``[B, ...]``. NaN where either side holds a NaN, so compare with ``not error <= limit``.
    """
    rows = expected.shape[0]
    found, expected = found.reshape(rows, -1), expected.reshape(rows, -1)
    if kind_of(found) == "torch":
        ratio = (found - expected).abs().amax(1) / expected.abs().amax(1).clamp(min=1e-12)
        return float(ratio.amax())
    return float((abs(found - expected).max(1) / abs(expected).max(1).clip(1e-12)).max())


def _library(name: Kind) -> ModuleType:
    try:
        if name == "torch":
            import torch

            return torch
        import numpy

        return numpy
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed", remedy=f"pip install {name}") from error
