"""Decoding image files of any kind to RGB, and resizing without aliasing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from perceptransfer.core.errors import ConfigError, ImageError
from perceptransfer.data.record import Pixels

ResizeMode = Literal["squash", "crop", "pad"]
EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
MODES = ("squash", "crop", "pad")
WHITE = (255, 255, 255)

# Pillow refuses to look at more than twice this many pixels (DecompressionBombError); the first threshold only warns.
_REMEDY = 'replace or remove the file, or set on_bad_image to "quarantine" to leave such files out'


def decode(data: bytes, name: str | Path, background: Sequence[int] = WHITE) -> Pixels:
    """Decode an encoded image to ``uint8 [H, W, 3]``.

    Transparent pixels are composited on ``background`` (RGB, 0..255). 16-bit grey is scaled by 1/257, so that 65535
    becomes 255. CMYK, palette and 1-bit images are converted; the EXIF orientation is applied; of an animation the
    first frame is taken.

    Raises:
        ImageError: truncated, unreadable, or of a range that has no 8-bit meaning; ``name`` is named.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            return _to_rgb(ImageOps.exif_transpose(opened), background)
    except ImageError as error:
        raise ImageError(error.problem, where=str(name), remedy=error.remedy) from None
    except Exception as error:  # a damaged file makes Pillow's plugins raise nearly anything
        raise ImageError(f"cannot be read as an image ({error})", where=str(name), remedy=_REMEDY) from error


def one_of(key: str, value: object, known: Sequence[str]) -> None:
    """Check a value that a configuration chooses from a list.

    Raises:
        ConfigError: the value is not known.
    """
    if value not in known:
        raise ConfigError(f"unknown value {value!r}", key=key, remedy=f"use one of {', '.join(known)}")


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        ImageError: the system refuses to.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})", where=path, remedy=_REMEDY) from error


def _to_rgb(image: Image.Image, background: Sequence[int]) -> Pixels:
    if image.mode.startswith("I"):
        return _grey(_from_integers(np.asarray(image)))
    if image.mode == "F":
        values = np.asarray(image)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ImageError("holds floating-point values outside 0..1", remedy="save it as 8- or 16-bit integers")
        return _grey(np.rint(values * 255.0))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*(int(channel) for channel in background), 255))
        image = Image.alpha_composite(canvas, layer)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _from_integers(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("holds integers outside 0..65535", remedy="save it as 8- or 16-bit integers")
    return np.rint(values / 257.0)


def _grey(values: np.ndarray) -> Pixels:
    return np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2)


def resize(image: Pixels, size: tuple[int, int], mode: ResizeMode = "squash", fill: Sequence[int] = WHITE) -> Pixels:
    """Resize ``[h, w, 3]`` to ``[H, W, 3]`` with ``size`` = (H, W).

    An axis that shrinks is averaged over areas, one that grows is interpolated linearly. ``squash`` ignores the aspect
    ratio, ``crop`` cuts the centre to the new ratio first, ``pad`` fits the whole image and fills the border.

    Raises:
        ConfigError: unknown mode or a size that is not positive.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ConfigError(f"image size must be positive, got {size}", key="size")
    h, w = image.shape[:2]
    if mode == "squash":
        return scale(image, (0.0, 0.0, w, h), size)
    if mode == "crop":
        cut_h, cut_w = min(h, w * height / width), min(w, h * width / height)
        top, left = (h - cut_h) / 2, (w - cut_w) / 2
        return scale(image, (left, top, left + cut_w, top + cut_h), size)
    if mode == "pad":
        factor = min(height / h, width / w)
        inner = (max(1, round(h * factor)), max(1, round(w * factor)))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = np.asarray(fill, dtype=np.uint8)
        canvas[top : top + inner[0], left : left + inner[1]] = scale(image, (0.0, 0.0, w, h), inner)
        return canvas
    raise ConfigError(f"unknown resize mode {mode!r}", key="resize", remedy=f"use one of {', '.join(MODES)}")


def scale(image: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """Bring the part ``box`` (left, top, right, bottom) to size, axis by axis: each may shrink or grow on its own."""
    left, top, right, bottom = box
    height, width = size
    picture = Image.fromarray(image)
    kind = {True: Image.Resampling.BOX, False: Image.Resampling.BILINEAR}
    wide = picture.resize((width, picture.height), kind[width <= right - left], (left, 0, right, picture.height))
    tall = wide.resize((width, height), kind[height <= bottom - top], (0, top, width, bottom))
    return np.array(tall, dtype=np.uint8)
