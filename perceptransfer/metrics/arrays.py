"""Checked arrays: what the formulas of this room may rely on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptransfer.core.errors import UndefinedMetricError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def finite(value: float, name: str) -> float:
    """``value`` as a float.

    Raises:
        UndefinedMetricError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise UndefinedMetricError(f"{name} is {value}", key=name, remedy="leave out the run that has no score")
    return float(value)


def matrix(values: ArrayLike, name: str) -> Floats:
    """``[n, k]`` float64, finite, with n and k at least 1.

    Raises:
        UndefinedMetricError: another shape, nothing in it, or NaN or infinity in it.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise UndefinedMetricError(f"{name} has shape {array.shape}, not [n, k]", key=name)
    if not np.isfinite(array).all():
        raise UndefinedMetricError(f"{name} holds NaN or infinity", key=name, remedy="find the step that diverged")
    return array


def probability_matrix(values: ArrayLike, name: str) -> Floats:
    """``[n, K]`` float64 whose rows are non-negative and sum to 1 (to 1e-3, which float16 keeps).

    Raises:
        UndefinedMetricError: these are not probabilities.
    """
    array = matrix(values, name)
    if array.min() < 0 or np.abs(array.sum(axis=1) - 1).max() > 1e-3:
        raise UndefinedMetricError(f"{name} are not probabilities", key=name, remedy="apply softmax to logits first")
    return array


def class_indices(values: ArrayLike, name: str, num_classes: int) -> Ints:
    """``[n]`` int64 in ``0 .. num_classes - 1``, n at least 1.

    Raises:
        UndefinedMetricError: another shape, nothing in it, or an index outside the classes.
    """
    array: NDArray[Any] = np.asarray(values)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise UndefinedMetricError(
            f"{name} must be a non-empty vector of integers, not {array.dtype} {array.shape}", key=name
        )
    if array.min() < 0 or array.max() >= num_classes:
        raise UndefinedMetricError(
            f"{name} go from {array.min()} to {array.max()}, with {num_classes} classes", key=name
        )
    return array.astype(np.int64)


def softmax(logits: ArrayLike) -> Floats:
    """Class probabilities ``[n, K]`` from logits ``[n, K]``."""
    array = matrix(logits, "logits")
    exponent = np.exp(array - array.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), dtype=np.float64)
