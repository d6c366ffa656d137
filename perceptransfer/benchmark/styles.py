"""Colour, marker and width of each arm, the same in the curve and in the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito's palette: told apart also with colour-vision deficiency. The four arms of the story get its strongest.
KEY_ARMS = {"I": "#0072B2", "F": "#E69F00", "D": "#D55E00", "A": "#1a1a1a"}
_THIN_COLOURS = ("#56B4E9", "#009E73", "#CC79A7", "#8c8c8c", "#7a5c3e", "#5b5ea6", "#9bb000")
_MARKERS = {"I": "o", "F": "s", "D": "D", "A": "^"}
_THIN_MARKERS = ("v", "P", "X", "<", ">", "h", "d")
_LABELLED = ("I", "D")


@dataclass(frozen=True)
class Style:
    """How one arm is drawn; ``key`` arms stand out, ``labelled`` ones carry their zero-label score."""

    colour: str
    marker: str
    key: bool
    labelled: bool = False

    @property
    def width(self) -> float:
        """Line width in points."""
        return 2.6 if self.key else 1.1

    @property
    def shade(self) -> float:
        """Opacity of the interval's band."""
        return 0.20 if self.key else 0.08


def arm_styles(arms: Iterable[str]) -> dict[str, Style]:
    """Style of each arm; the same arm of the same grid always gets the same one."""
    names = sorted(arms)
    thin = [name for name in names if name not in KEY_ARMS]
    styles = {
        name: Style(KEY_ARMS[name], _MARKERS[name], True, name in _LABELLED) for name in KEY_ARMS if name in names
    }
    for i, name in enumerate(thin):
        styles[name] = Style(_THIN_COLOURS[i % len(_THIN_COLOURS)], _THIN_MARKERS[i % len(_THIN_MARKERS)], False)
    return styles
