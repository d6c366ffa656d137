"""Procedural patterns: a blend map for two colours, drawn by NumPy and the same on every machine."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 128
Pixels = NDArray[np.uint8]
Map = NDArray[np.float64]


def _waves(rng: np.random.Generator, first: int, octaves: int) -> Map:
    """Smooth noise that repeats at its edges, 0..1; ``first`` is the number of bumps along an edge."""
    total = np.zeros((SIZE, SIZE))
    for octave in range(octaves):
        knots = first * 2**octave
        grid = np.pad(rng.random((knots, knots)), 2, mode="wrap")
        unit = SIZE // knots
        fine = cv2.resize(grid, None, fx=unit, fy=unit, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * unit : 2 * unit + SIZE, 2 * unit : 2 * unit + SIZE] / 2**octave
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low), dtype=np.float64)


def _grid() -> tuple[Map, Map]:
    """Coordinates 0..1 of the pixels, across and down."""
    line = (np.arange(SIZE) + 0.5) / SIZE
    return np.meshgrid(line, line)


def _plain(rng: np.random.Generator) -> Map:
    return np.zeros((SIZE, SIZE))


def _checker(rng: np.random.Generator) -> Map:
    x, y = _grid()
    return ((x > 0.5) ^ (y > 0.5)).astype(np.float64)


def _stripes(rng: np.random.Generator) -> Map:
    x, y = _grid()
    return ((x * rng.integers(1, 3) + y * rng.integers(-2, 3)) % 1.0 > 0.5).astype(np.float64)


def _gradient(rng: np.random.Generator) -> Map:
    x, y = _grid()
    return 0.5 - 0.5 * np.cos(2 * np.pi * (x + rng.integers(0, 2) * y))


def _noise(rng: np.random.Generator) -> Map:
    return _waves(rng, 4, 4)


def _blobs(rng: np.random.Generator) -> Map:
    return np.clip((_waves(rng, 4, 2) - 0.5) * 12 + 0.5, 0, 1)


def _wood(rng: np.random.Generator) -> Map:
    x, _ = _grid()
    grain = np.resize(_waves(rng, 16, 2).mean(0), (SIZE, SIZE)) * 0.6
    return (0.5 + 0.5 * np.sin(2 * np.pi * (4 * x + 0.7 * _waves(rng, 2, 2)))) * 0.6 + grain * 0.6


def _planks(rng: np.random.Generator) -> Map:
    x, y = _grid()
    board = np.floor(x * 4)
    tone = rng.random(4)[board.astype(int)] * 0.6
    joint = ((x * 4) % 1.0 < 0.06) | (((y + board * 0.37) % 1.0) < 0.02)
    return np.where(joint, 1.0, tone + 0.2 * _waves(rng, 8, 3))


def _marble(rng: np.random.Generator) -> Map:
    x, y = _grid()
    vein = np.abs(np.sin(np.pi * (x + y + 1.6 * _waves(rng, 2, 5))))
    return np.asarray((1 - vein) ** 3, dtype=np.float64)


def _weave(rng: np.random.Generator) -> Map:
    x, y = _grid()
    over = (np.floor(x * 16) + np.floor(y * 16)) % 2
    thread = np.where(over > 0, np.sin(np.pi * ((x * 16) % 1.0)), np.sin(np.pi * ((y * 16) % 1.0)))
    return np.asarray(1 - (0.35 + 0.65 * thread) * (0.8 + 0.2 * over), dtype=np.float64)


def _speckle(rng: np.random.Generator) -> Map:
    return cv2.GaussianBlur((rng.random((SIZE, SIZE)) < 0.08).astype(np.float64), (0, 0), 0.8).clip(0, 0.4) / 0.4


def _tiles(rng: np.random.Generator) -> Map:
    x, y = _grid()
    line = (((x * 2) % 1.0) < 0.05) | (((y * 2) % 1.0) < 0.05)
    return np.where(line, 1.0, 0.25 * _waves(rng, 4, 3))


PATTERNS: dict[str, Callable[[np.random.Generator], Map]] = {
    "plain": _plain, "checker": _checker, "stripes": _stripes, "gradient": _gradient, "noise": _noise,
    "blobs": _blobs, "wood": _wood, "planks": _planks, "marble": _marble, "weave": _weave, "speckle": _speckle,
    "tiles": _tiles,
}  # fmt: skip


def texture(kind: str, first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Pattern between two colours (RGB in 0..1), ``uint8 [128, 128, 3]``; all but stripes repeat without a seam."""
    blend = np.clip(PATTERNS[kind](rng), 0, 1)[..., None]
    return np.asarray(np.rint(255 * (first * (1 - blend) + second * blend)), dtype=np.uint8)
