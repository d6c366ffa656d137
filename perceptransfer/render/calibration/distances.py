"""How far two sets of feature rows lie apart. All are symmetric, and 0 for equal sets."""

from __future__ import annotations

import functools

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

Rows = NDArray[np.float64]
LEVELS, DIRECTIONS = 64, 96


def sliced_wasserstein(a: Rows, b: Rows) -> float:
    """Root mean square over directions of the 2-Wasserstein distance of the projections (Bonneel et al. 2015).

    Directions are all axes and as many as 96 fixed random ones; quantile functions are compared at 64 levels.
    """
    directions = _directions(a.shape[1])
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    first, second = (np.quantile(rows @ directions.T, levels, axis=0) for rows in (a, b))
    return float(np.sqrt(np.square(first - second).mean()))


def frechet(a: Rows, b: Rows) -> float:
    """Fréchet distance of the normal distributions with the sets' means and Ledoit–Wolf covariances.

    d² = |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), Dowson and Landau 1982; here its root per column.
    """
    (first, _), (second, _) = ledoit_wolf(a), ledoit_wolf(b)
    values = scipy.linalg.eigh(_root(first) @ second @ _root(first), eigvals_only=True)
    cross = np.sqrt(np.maximum(values, 0)).sum()
    square = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * cross
    return float(np.sqrt(max(square, 0.0) / a.shape[1]))


def _root(matrix: Rows) -> Rows:
    values, vectors = scipy.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)


@functools.lru_cache(maxsize=8)
def _directions(columns: int) -> Rows:
    drawn = np.random.default_rng(0).standard_normal((DIRECTIONS, columns))
    return np.concatenate([np.eye(columns), drawn / np.linalg.norm(drawn, axis=1, keepdims=True)])
