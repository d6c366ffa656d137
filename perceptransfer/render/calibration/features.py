"""What a picture looks like, in a few dozen numbers that need no training and no labels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Planes = NDArray[np.floating[Any]]
Features = NDArray[np.float64]

LIGHT_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
OCTAVES, COLOUR_OCTAVES, BLOCK = 5, 2, 4
FLOOR = 1e-3  # a quarter of a grey level of 8 bits: no logarithm of what cannot be seen

NAMES = (
    *(f"lightness, quantile {q:g}" for q in LIGHT_QUANTILES), "lightness, deviation", "black share", "white share",
    "red–green, mean", "red–green, deviation", "yellow–blue, mean", "yellow–blue, deviation",
    "chroma, median", "chroma, quantile 0.9",
    *(f"lightness energy, 1/{2**k} of the finest detail" for k in range(OCTAVES)),
    *(f"{name} energy, 1/{2**k} of the finest detail" for name in ("red–green", "yellow–blue")
      for k in range(COLOUR_OCTAVES)),
    "grain in dark flat places", "grain in bright flat places", "colour grain in flat places",
    "edge strength, median", "edge strength, quantile 0.9", "edge strength, quantile 0.99",
    "local contrast, median", "local contrast, quantile 0.9",
)  # fmt: skip
"""Names of the columns of `describe`."""


def describe(images: Pixels) -> Features:
    """Statistics ``[n, len(NAMES)]`` of pictures ``uint8 [n, H, W, 3]`` of at least 16 pixels a side.

    Stored values in 0..1; lightness is the mean of the channels, the other planes are red − green and
    (red + green)/2 − blue. Energies, grain, edges and local contrast are natural logarithms.
    """
    return np.concatenate([_one(image) for image in images])


def _one(image: Pixels) -> Features:
    value = image.astype(np.float32) / 255
    red, green, blue = value[..., 0], value[..., 1], value[..., 2]
    light, rg, yb = (red + green + blue) / 3, red - green, (red + green) / 2 - blue
    chroma = np.sqrt(rg * rg + yb * yb)
    fine = _grain(light, rg, yb)
    edges = np.abs(light[1:, 1:] - light[:-1, :-1]) + np.abs(light[1:, :-1] - light[:-1, 1:])
    contrast = _blocks(light).std(-1)
    row = [
        *_quantiles(light, LIGHT_QUANTILES), light.std(), (light < 0.02).mean(), (light > 0.98).mean(),
        rg.mean(), rg.std(), yb.mean(), yb.std(), *_quantiles(chroma, (0.5, 0.9)),
        *_energies(light)[:OCTAVES], *_energies(rg)[:COLOUR_OCTAVES], *_energies(yb)[:COLOUR_OCTAVES],
        *fine, *np.log(np.add(_quantiles(edges, (0.5, 0.9, 0.99)), FLOOR)),
        *np.log(np.add(_quantiles(contrast, (0.5, 0.9)), FLOOR)),
    ]  # fmt: skip
    return np.asarray([row], dtype=np.float64)


def _quantiles(plane: Planes, shares: tuple[float, ...]) -> Features:
    """From a histogram of the values, which lie in 0..2, to 1/1024: sorting would take most of the whole time."""
    count = np.cumsum(np.bincount((plane.ravel() * 1024 + 0.5).astype(np.int32), minlength=1))
    return np.asarray(np.searchsorted(count, np.multiply(shares, count[-1])) / 1024)


def _blocks(plane: Planes) -> Planes:
    """Values ``[B, BLOCK²]`` of non-overlapping squares."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    cut = plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(rows * columns, BLOCK * BLOCK)


def _grain(light: Planes, rg: Planes, yb: Planes) -> list[float]:
    """Log of what is left of a plane after its neighbours' mean, in the flattest sixth of the squares."""

    def rest(plane: Planes) -> Planes:
        inner = plane[1:-1, 1:-1]
        around = (plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]) / 4
        return np.asarray(np.abs(_blocks(inner - around)).mean(-1))

    left, level = rest(light), _blocks(light[1:-1, 1:-1]).mean(-1)
    order = np.argsort(level, kind="stable")
    half = len(order) // 2
    dark, bright = left[order[:half]], left[order[half:]]
    colour = (rest(rg) + rest(yb)) / 2
    return [
        float(np.log(np.partition(part, len(part) // 6)[len(part) // 6] + FLOOR)) for part in (dark, bright, colour)
    ]


@functools.lru_cache(maxsize=8)
def _bands(height: int, width: int) -> tuple[NDArray[np.int64], Planes]:
    """Octave of each place of a half spectrum, 0 for the finest, and the window that hides the border."""
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.sqrt(y * y + x * x)
    octave = np.floor(-np.log2(np.maximum(radius, 1e-9) / 0.5)).clip(-1, OCTAVES).astype(np.int64)
    octave[radius == 0] = OCTAVES
    octave[octave < 0] = 0  # the corners beyond the finest horizontal detail
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    return octave, window


def _energies(plane: Planes) -> Features:
    """Log of the mean power in each octave, from the finest on."""
    octave, window = _bands(*plane.shape)
    spectrum = scipy.fft.rfft2((plane - plane.mean()) * window)
    power = (spectrum.real**2 + spectrum.imag**2) / plane.size
    total = np.bincount(octave.ravel(), weights=power.ravel(), minlength=OCTAVES + 1)
    count = np.bincount(octave.ravel(), minlength=OCTAVES + 1)
    return np.asarray(np.log(total[:OCTAVES] / np.maximum(count[:OCTAVES], 1) + FLOOR**2))
