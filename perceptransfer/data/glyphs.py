"""Drawing one glyph of a font: its outline as a distance field, its place in an image, its exposure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from perceptransfer.core.errors import DataError
from perceptransfer.data.record import Pixels

DIGITS = tuple("0123456789")
# Their code points for digits hold brackets and operators, which no look at the character map gives away.
SYMBOL_FONTS = frozenset({"cmex10", "cmsy10"})

Field = NDArray[np.float32]


def draw_glyph(font: Path, text: str, height: int) -> Pixels:
    """Draw ``text`` white on black, cut to its ink and scaled to ``height`` pixels; ``uint8 [height, w]``.

    ``w`` is even, so that the glyph can stand exactly in the middle of an even canvas; 0 when there is no ink.

    Raises:
        OSError: the file is no font.
    """
    face = ImageFont.truetype(str(font), 2 * height)
    left, top, right, bottom = (int(edge) for edge in face.getbbox(text))
    canvas = Image.new("L", (max(right - left, 0) + 4, max(bottom - top, 0) + 4))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), text, fill=255, font=face)
    box = canvas.getbbox()
    if box is None:
        return np.zeros((0, 0), np.uint8)
    ink = canvas.crop(box)
    width = 2 * max(1, round(ink.width * height / ink.height / 2))
    return np.asarray(ink.resize((width, height), Image.Resampling.BOX), dtype=np.uint8)


def shows_digits(font: Path) -> bool:
    """Whether a font file has ten different digits: no symbol font, and none with one placeholder for all."""
    if font.stem.lower() in SYMBOL_FONTS:
        return False
    try:
        missing = draw_glyph(font, "\U0010fffd", 24).tobytes()
        shapes = {draw_glyph(font, digit, 24).tobytes() for digit in DIGITS}
    except OSError:
        return False
    return len(shapes) == len(DIGITS) and not shapes & {missing, b""}


def digit_fonts(folder: Path | None = None) -> list[Path]:
    """Font files with legible digits: those that matplotlib ships, then those below ``folder``, sorted by name.

    Raises:
        DataError: the folder does not exist or holds no font with digits.
    """
    shipped = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    fonts = [font for font in shipped if shows_digits(font)]
    if folder is not None:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".ttf", ".otf"})
        own = [font for font in files if shows_digits(font)]
        if not own:
            raise DataError(
                "no font with ten digits", where=folder, key="font_folder", remedy="give a folder of .ttf or .otf files"
            )
        fonts += own
    return fonts


def distance_field(glyph: Pixels, canvas: int) -> Field:
    """Signed distance to the glyph's outline in units of its height, positive inside, ``[canvas, canvas]``.

    A threshold on it moves the outline, which is what a stroke width is, and stays sharp at any scale.
    """
    height, width = glyph.shape
    padded = np.zeros((canvas, canvas), np.uint8)
    top, left = (canvas - height) // 2, max((canvas - width) // 2, 0)
    padded[top : top + height, left : left + width] = glyph[:, :canvas]
    inside = padded >= 128
    to_ink = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    to_paper = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The outline runs half a pixel before the nearest pixel of the other kind.
    return np.asarray((to_paper - to_ink + np.where(inside, -0.5, 0.5)) / height, dtype=np.float32)


def ink_of(
    field: Field, size: tuple[int, int], draw: Mapping[str, float], shift: NDArray[np.float64], rng: np.random.Generator
) -> Field:
    """Place a glyph, given as the distance field of `distance_field`, into an image; coverage 0..1, ``[H, W]``."""
    rows, columns = size
    angle = np.deg2rad(draw["rotation"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slant = np.array([[1.0, draw["shear"]], [0.0, 1.0]])
    # Glyph to image, both centred and in units of their height; all bending is done in the glyph's frame.
    inverse = np.linalg.inv(turn @ slant @ np.diag([draw["aspect"], 1.0]) * draw["height"])
    x = (np.arange(columns) + 0.5 - columns / 2) / rows - shift[0]
    y = (np.arange(rows) + 0.5 - rows / 2) / rows - shift[1]
    knots = rng.standard_normal((4, 4, 2)).astype(np.float32) * np.float32(draw["warp"])
    wave = cv2.resize(knots, (columns, rows), interpolation=cv2.INTER_CUBIC)
    u, v = (inverse[axis, 0] * x + (inverse[axis, 1] * y)[:, None] + wave[..., axis] for axis in range(2))
    # Moves the middle and leaves the edges at +-1/2, so one half of the glyph grows at the other's cost.
    stretched = [at + draw[name] * np.maximum(0.25 - at * at, 0) for at, name in ((u, "balance_x"), (v, "balance_y"))]
    stretched[0] += draw["bend"] * (v * v - 1 / 12)
    middle, unit = (field.shape[0] - 1) / 2, field.shape[0] / 2  # where the glyph stands in its field, and its height
    across, down = ((at * unit + middle).astype(np.float32) for at in stretched)
    distance = cv2.remap(field, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1.0)
    pixels = (distance + draw["stroke"]) * (draw["height"] * rows)
    return np.asarray(np.clip(pixels + 0.5, 0.0, 1.0), dtype=np.float32)


def expose(ink: Field, draw: Mapping[str, float], *, invert: bool, rng: np.random.Generator) -> Pixels:
    """Turn coverage into what a cheap sensor sees: grey levels, shading, blur, resolution, noise; ``uint8 [H, W]``."""
    rows, columns = ink.shape
    image: NDArray[Any] = draw["background"] + (draw["foreground"] - draw["background"]) * ink
    direction = rng.uniform(0, 2 * np.pi)
    across = np.cos(direction) * np.linspace(-0.5, 0.5, columns, dtype=np.float32)
    image += draw["shade"] * (across + np.sin(direction) * np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None])
    sigma = draw["blur"] * rows / 32
    if sigma > 0.2:  # below, the kernel is one pixel
        image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    coarse = (max(1, round(columns * draw["resolution"])), max(1, round(rows * draw["resolution"])))
    if coarse != (columns, rows):
        small = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if invert:
        image = 1.0 - image
    image += np.float32(draw["noise"]) * rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(np.clip(np.rint(image * 255), 0, 255), dtype=np.uint8)
