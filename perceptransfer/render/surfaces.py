"""What surfaces and backgrounds look like, as ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.files import sha256_file
from perceptransfer.render.colours import Colours, Hsv
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.patterns import PATTERNS
from perceptransfer.render.plan import Background, Material, Texture

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class Surface(Ranges):
    """Colour, gloss and pattern of a surface; ``patterns`` are names of `patterns.PATTERNS`, one of which is drawn.

    ``hue_turns``, ``saturation``, ``value`` and ``gamma`` vary the colours that a mesh or a rigged model brings.
    """

    def __init__(
        self,
        colour: Colours | None = None,
        second_colour: Colours | None = None,
        patterns: list[str] | None = None,
        pattern_m: Number = (0.02, 0.2),
        roughness: Number = (0.2, 0.9),
        specular: Number = (0.0, 0.6),
        hue_turns: Number = 0.0,
        saturation: Number = 1.0,
        value: Number = 1.0,
        gamma: Number = 1.0,
    ) -> None:
        self._numbers(
            pattern_m=pattern_m, roughness=roughness, specular=specular, hue_turns=hue_turns, saturation=saturation,
            value=value, gamma=gamma,
        )  # fmt: skip
        self._positive("pattern_m", "gamma")
        self.colour = colour or Hsv()
        self.second_colour = second_colour or self.colour
        self.patterns = known_patterns(patterns)

    def sample(self, draws: Draws) -> Material:
        """Draw a material."""
        texture = Texture(
            kind=self.patterns[int(draws.rng("pattern").integers(len(self.patterns)))],
            scale=self.draw("pattern_m", draws),
            second_colour=self.second_colour.sample(draws.under("second")),
            seed=draws.seed("texture"),
        )
        return Material(
            colour=self.colour.sample(draws.under("first")),
            roughness=self.draw("roughness", draws),
            specular=self.draw("specular", draws),
            texture=texture,
            hue=self.draw("hue_turns", draws),
            saturation=self.draw("saturation", draws),
            value=self.draw("value", draws),
            gamma=self.draw("gamma", draws),
        )


class Backdrop(Ranges):
    """What is seen where there is no body: a pattern, or in ``photo_share`` of the pictures a piece of a photo.

    ``photos`` is a folder, searched with its sub-folders; ``photo_part`` is the piece's size as a share of the largest
    of the picture's shape, so that whole frames can stand at their own scale behind a cut-out object. ``other`` takes
    its place in ``other_share`` of the pictures.
    """

    NOT_IDENTITY = frozenset({"photos"})

    def __init__(
        self,
        colour: Colours | None = None,
        patterns: list[str] | None = None,
        pattern_heights: Number = (0.1, 1.5),
        photos: str | None = None,
        photo_share: float = 0.5,
        photo_part: Number = (0.6, 1.0),
        other: Backdrop | None = None,
        other_share: float = 0.5,
    ) -> None:
        self._numbers(
            pattern_heights=pattern_heights, photo_share=photo_share, photo_part=photo_part, other_share=other_share
        )
        self._positive("pattern_heights", "photo_part")
        if self.ranges["photo_part"].high > 1:
            raise ConfigError("needs 0 < photo_part <= 1", key="photo_part")
        self.colour = colour or Hsv()
        self.patterns = known_patterns(patterns)
        self.photos = None if photos is None else Path(photos)
        self.files = [] if self.photos is None else _pictures(self.photos)
        self.other = other

    def identity_extra(self) -> Mapping[str, Any]:
        """Names and contents of the photos, wherever they lie."""
        if self.photos is None:
            return {}
        return {"photos": [[path.relative_to(self.photos).as_posix(), sha256_file(path)] for path in self.files]}

    def sample(self, draws: Draws) -> Background:
        """Draw a background."""
        if self.other is not None and draws.rng("which").random() < self.draw("other_share", draws):
            return self.other.sample(draws.under("other"))
        photo = None
        if self.files and draws.rng("photo").random() < self.draw("photo_share", draws):
            photo = str(self.files[int(draws.rng("file").integers(len(self.files)))])
        texture = Texture(
            kind=self.patterns[int(draws.rng("pattern").integers(len(self.patterns)))],
            scale=self.draw("pattern_heights" if photo is None else "photo_part", draws),
            second_colour=self.colour.sample(draws.under("second")),
            seed=draws.seed("texture"),
            image=photo,
        )
        return Background(self.colour.sample(draws.under("first")), texture)


def known_patterns(names: list[str] | None) -> list[str]:
    """The names given, or all.

    Raises:
        ConfigError: a name that is not known, or none.
    """
    wanted = list(PATTERNS) if names is None else list(names)
    unknown = [name for name in wanted if name not in PATTERNS]
    if unknown or not wanted:
        problem = f"unknown pattern {unknown[0]!r}" if unknown else "no pattern given"
        raise ConfigError(problem, key="patterns", remedy=f"known are {', '.join(PATTERNS)}")
    return wanted


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not found:
        raise DataError("holds no pictures", where=folder, key="photos", remedy="name a folder of photos, or null")
    return found
