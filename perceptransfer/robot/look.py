"""A look: how a world appears to its camera, as one table of ranges in a file that a user can write."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import write_atomic
from perceptransfer.core.seeding import derive_seed
from perceptransfer.render.patterns import PATTERNS
from perceptransfer.robot.variables import SECTIONS, TEXTURED, VARIABLES

OBJECTS = 6  # most distractors on a table
Range = tuple[float, float]


@dataclass(frozen=True)
class Appearance:
    """One draw of a look, for one episode.

    ``values`` holds a number for every variable, ``objects`` the ``distractors.*`` of each object on the table,
    ``textures`` the pattern of every textured surface; ``seed`` fixes what is drawn further (patterns, noise, places).
    """

    values: Mapping[str, float]
    objects: tuple[Mapping[str, float], ...]
    textures: Mapping[str, str]
    seed: int

    def rng(self, use: str) -> np.random.Generator:
        """Generator for one use, independent of all other uses."""
        return np.random.default_rng(derive_seed(self.seed, use))


class Look:
    """Ranges for the variables of `variables.SECTIONS` and the patterns that a surface may have.

    A variable that is not given has its default. Values are drawn uniformly from their range, each from a generator
    of its own, so that changing one variable leaves the draws of all others as they were.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range | float] | None = None,
        textures: Mapping[str, tuple[str, ...]] | None = None,
        name: str = "",
    ) -> None:
        """Name what differs from the default look.

        Args:
            ranges: dotted variable → number or (low, high).
            textures: surface → patterns, one of which is drawn.
            name: where the look comes from, for messages.
        """
        self.name = name
        self.ranges: dict[str, Range] = {key: (it.default, it.default) for key, it in VARIABLES.items()}
        self.textures: dict[str, tuple[str, ...]] = dict.fromkeys(TEXTURED, ("plain",))
        for key, value in (ranges or {}).items():
            self.ranges[key] = self._checked_range(key, value)
        for key, patterns in (textures or {}).items():
            self.textures[key] = self._checked_patterns(key, patterns)

    def __repr__(self) -> str:
        return f"Look({self.fingerprint})"  # what a run's identity is taken from

    def sample(self, seed: int) -> Appearance:
        """The appearance of the episode with this seed."""
        values = {key: self._draw(seed, key) for key in self.ranges}
        count = round(values["distractors.count"])
        own = [key for key in self.ranges if key.startswith("distractors.")]
        objects = tuple({key: self._draw(seed, key, i) for key in own} for i in range(count))
        patterns = {key: names[derive_seed(seed, key, "texture") % len(names)] for key, names in self.textures.items()}
        return Appearance(values, objects, patterns, seed)

    def changed(self, ranges: Mapping[str, Range | float], name: str | None = None) -> Look:
        """The same look with other ranges for some variables."""
        return Look({**self.ranges, **ranges}, self.textures, self.name if name is None else name)

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the appearance; the name does not."""
        return digest({"ranges": self.ranges, "textures": self.textures})

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain data, as in the file; a range of one value is a number."""
        tree: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key, (low, high) in self.ranges.items():
            section, name = key.split(".")
            tree[section][name] = low if low == high else [low, high]
        for key, patterns in self.textures.items():
            tree[key]["texture"] = patterns[0] if len(patterns) == 1 else list(patterns)
        return tree

    def write(self, path: Path, header: str = "") -> None:
        """Write every variable as YAML below ``header`` (comment lines)."""
        write_atomic(path, header + yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None))

    @classmethod
    def read(cls, path: Path | str) -> Look:
        """Read a look from YAML.

        Raises:
            ConfigError: no such file, no YAML, or a key, value or pattern that is not known.
        """
        path = Path(path)
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"not a readable look ({error})", where=path, remedy="give a YAML file like configs/looks/source.yaml"
            ) from error
        flat = dict(_flatten({} if tree is None else tree, path))
        textures = {key.removesuffix(".texture"): it for key, it in flat.items() if key.endswith(".texture")}
        ranges = {key: it for key, it in flat.items() if not key.endswith(".texture")}
        patterns = {key: (it,) if isinstance(it, str) else it for key, it in textures.items()}
        return cls(ranges, patterns, str(path))

    def _draw(self, seed: int, *key: object) -> float:
        low, high = self.ranges[str(key[0])]
        return low if low == high else float(np.random.default_rng(derive_seed(seed, *key)).uniform(low, high))

    def _checked_range(self, key: str, value: Any) -> Range:
        if key not in VARIABLES:
            self._unknown(key, list(VARIABLES))
        pair = list(value) if isinstance(value, list | tuple) else [value, value]
        known = VARIABLES[key]
        numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in pair)
        if len(pair) != 2 or not numbers or not all(map(math.isfinite, pair)) or pair[0] > pair[1]:
            raise ConfigError(
                f"needs a number or [low, high], got {value!r}", where=self.name or None, key=key, remedy=_limits(key)
            )
        if pair[0] < known.low or pair[1] > known.high:
            raise ConfigError(f"{value!r} is out of range", where=self.name or None, key=key, remedy=_limits(key))
        return float(pair[0]), float(pair[1])

    def _checked_patterns(self, key: str, patterns: Any) -> tuple[str, ...]:
        if key not in TEXTURED:
            self._unknown(f"{key}.texture", [f"{name}.texture" for name in TEXTURED])
        names = tuple(patterns) if isinstance(patterns, list | tuple) else (patterns,)
        for name in names:
            if name not in PATTERNS:
                raise ConfigError(
                    f"unknown pattern {name!r}",
                    where=self.name or None,
                    key=f"{key}.texture",
                    remedy=f"known are {', '.join(PATTERNS)}",
                )
        if not names:
            raise ConfigError("no pattern given", where=self.name or None, key=f"{key}.texture", remedy="name one")
        return names

    def _unknown(self, key: str, known: list[str]) -> NoReturn:
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.4) or known[:3]
        raise ConfigError("unknown key", where=self.name or None, key=key, remedy=f"did you mean {', '.join(near)}?")


def _limits(key: str) -> str:
    it = VARIABLES[key]
    return f"{it.meaning}: {it.low:g} to {it.high:g} {it.unit}".removesuffix(" 1")


def _flatten(tree: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Dotted keys of a two-level mapping."""
    remedy = f"write sections such as {', '.join(list(SECTIONS)[:4])} with their variables below"
    if not isinstance(tree, Mapping):
        raise ConfigError("holds no sections", where=path, remedy=remedy)
    for section, names in tree.items():
        if not isinstance(names, Mapping):
            raise ConfigError("a section needs variables below it", where=path, key=str(section), remedy=remedy)
        yield from ((f"{section}.{name}", value) for name, value in names.items())
