"""The embedded default data: digits rendered from fonts, and scikit-learn's scanned handwritten digits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import sha256_file
from perceptransfer.data.glyphs import DIGITS, Field, digit_fonts, distance_field, draw_glyph, expose, ink_of
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.record import Pixels
from perceptransfer.data.source import ImageSource

Range = tuple[float, float]


class FontDigits(ImageSource):
    """Synthetic digits drawn from fonts under randomised geometry and photometry.

    Image k shows digit ``k % 10`` and depends on ``seed`` and ``k`` only, so it can be made alone and the classes are
    balanced. Every variable is uniform in its range.
    """

    NOT_IDENTITY = frozenset({"font_folder"})  # its fonts count, wherever they lie

    def __init__(
        self,
        count: int = 6000,
        seed: int = 0,
        font_folder: str | None = None,
        height: Range = (0.75, 1.05),
        aspect: Range = (0.8, 1.25),
        rotation: Range = (-15.0, 15.0),
        shear: Range = (-0.25, 0.25),
        shift: Range = (-0.08, 0.08),
        balance_x: Range = (0.0, 0.0),
        balance_y: Range = (0.0, 0.0),
        bend: Range = (0.0, 0.0),
        warp: Range = (0.0, 0.04),
        stroke: Range = (0.0, 0.05),
        blur: Range = (0.0, 1.2),
        resolution: Range = (0.25, 1.0),
        background: Range = (0.0, 0.3),
        foreground: Range = (0.6, 1.0),
        shade: Range = (0.0, 0.2),
        noise: Range = (0.0, 0.08),
        inverted: float = 0.0,
        test_share: float = 0.0,
    ) -> None:
        """Take the ranges.

        Args:
            count: number of images.
            seed: which images.
            font_folder: a folder of TTF or OTF files used besides those that matplotlib ships.
            height: glyph height, share of the image height.
            aspect: factor on the glyph's width.
            rotation: degrees.
            shear: horizontal, share of the height (slant).
            shift: of the glyph's centre, horizontal and vertical, share of the image height.
            balance_x: how far the right part grows (positive) or shrinks at the left part's cost; within -1..1.
            balance_y: the same for the lower part at the upper part's cost: stem and loop of a 9.
            bend: curvature of the glyph's axis, 1 / glyph height.
            warp: standard deviation of a smooth random displacement, share of the glyph height.
            stroke: outward move of the outline, share of the glyph height; negative thins.
            blur: standard deviation of the Gaussian blur, pixels of a 32-pixel image.
            resolution: of the sensor, share of the image size; the image is reduced to it and brought back.
            background: grey level in 0..1.
            foreground: grey level in 0..1.
            shade: strength of a linear change of light across the image, grey levels.
            noise: standard deviation of Gaussian noise, grey levels.
            inverted: share of the images that are dark on bright.
            test_share: share of the images, the last ones, split off as test; 0 for images without a split.

        Raises:
            ConfigError: a count below one, a share outside 0..1 or a range whose ends are swapped.
        """
        if count < 1:
            raise ConfigError(f"count is {count}", key="count", remedy="ask for at least one image")
        for key, value in (("inverted", inverted), ("test_share", test_share)):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"share is {value}", key=key, remedy="give a number from 0 to 1")
        self.count, self.seed, self.font_folder = count, seed, font_folder
        self.inverted, self.test_share = inverted, test_share
        self._ranges: dict[str, Range] = {
            "height": height, "aspect": aspect, "rotation": rotation, "shear": shear, "shift": shift,
            "balance_x": balance_x, "balance_y": balance_y, "bend": bend, "warp": warp, "stroke": stroke, "blur": blur,
            "resolution": resolution, "background": background, "foreground": foreground, "shade": shade,
            "noise": noise,
        }  # fmt: skip
        for name, (low, high) in self._ranges.items():
            if not low <= high:
                raise ConfigError(f"range {low} to {high} is empty", key=name, remedy="give the smaller end first")
        self._fields: dict[tuple[int, int, int], Field] = {}
        self._fonts: list[Path] = []

    def fonts(self) -> list[Path]:
        """Font files in use, looked up once.

        Raises:
            DataError: the font folder has no font with digits.
        """
        self._fonts = self._fonts or digit_fonts(Path(self.font_folder) if self.font_folder is not None else None)
        return self._fonts

    def identity_extra(self) -> Mapping[str, Any]:
        """Hash over the font files, because another matplotlib ships other fonts."""
        return {"fonts": hashlib.sha256("".join(sha256_file(font) for font in self.fonts()).encode()).hexdigest()}

    def ranges(self) -> Mapping[str, Any]:
        """Range of every randomised variable, and the fonts."""
        named = {name: list(ends) for name, ends in self._ranges.items()}
        return {**named, "inverted": self.inverted, "font": [font.stem for font in self.fonts()]}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Render all images."""
        grey = np.stack([self.render(index, size) for index in range(self.count)])
        labels = [index % 10 for index in range(self.count)]
        first_test = self.count - round(self.test_share * self.count)
        splits = ["train" if index < first_test else "test" for index in range(self.count)] if self.test_share else None
        return ImageSet.from_arrays(np.repeat(grey[..., None], 3, axis=3), labels, DIGITS, splits=splits)

    def render(self, index: int, size: tuple[int, int]) -> Pixels:
        """Render image ``index`` alone, grey ``uint8 [H, W]``."""
        rng = np.random.default_rng((self.seed, index))
        # A fixed variable draws nothing, so one that is added later leaves the images of older settings as they were.
        draw = {name: low if low == high else rng.uniform(low, high) for name, (low, high) in self._ranges.items()}
        shift = rng.uniform(*self._ranges["shift"], size=2)
        invert = rng.random() < self.inverted
        field = self._field(int(rng.integers(len(self.fonts()))), index % 10, size[0])
        ink = ink_of(field, size, draw, shift, rng)
        return expose(ink, draw, invert=invert, rng=rng)

    def _field(self, font: int, digit: int, image_height: int) -> Field:
        key = (font, digit, min(2 * image_height, 128))
        if key not in self._fields:
            glyph = draw_glyph(self.fonts()[font], DIGITS[digit], key[2])
            self._fields[key] = distance_field(glyph, 2 * key[2])
        return self._fields[key]


class ScannedDigits(ImageSource):
    """scikit-learn's ``load_digits``: 1 797 real handwritten digits, 8x8 pixels, resized bilinearly.

    Source: Optical Recognition of Handwritten Digits, UCI (Alpaydin & Kaynak, 1998). The test images are the last 797
    of one plain (not stratified) permutation with seed 0; the first 1 000 are the pool, split ``train``.
    """

    POOL = 1000

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all images, in scikit-learn's order, bright strokes on dark."""
        scans = load_digits()
        small = np.rint(scans.images * (255 / 16)).astype(np.uint8)
        grey = np.stack([cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for image in small])
        splits = np.full(len(grey), "test", dtype=object)
        splits[np.random.default_rng(0).permutation(len(grey))[: self.POOL]] = "train"
        labels = [int(label) for label in scans.target]
        return ImageSet.from_arrays(
            np.repeat(grey[..., None], 3, axis=3), labels, DIGITS, splits=[str(split) for split in splits]
        )
