"""The variables of a look: every one with its default, its limits, its unit and its meaning."""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """A number of a look."""

    default: float
    low: float
    high: float
    unit: str
    meaning: str


def _paint(hue: float, saturation: float, value: float, what: str, second: str = "") -> dict[str, Variable]:
    return {
        f"hue{second}": Variable(hue, -1.0, 2.0, "turns", f"hue of {what}; wraps around at 1"),
        f"saturation{second}": Variable(saturation, 0.0, 1.0, "1", f"saturation of {what}"),
        f"value{second}": Variable(value, 0.0, 1.0, "1", f"brightness of {what}"),
    }


def _surface(hue: float, saturation: float, value: float, what: str) -> dict[str, Variable]:
    return {
        **_paint(hue, saturation, value, what),
        **_paint(hue, saturation, value * 0.8, f"the pattern on {what}", "2"),
        "scale": Variable(4.0, 0.5, 40.0, "1/m", "repeats of the pattern"),
    }


SECTIONS: dict[str, dict[str, Variable]] = {
    "table": _surface(0.10, 0.12, 0.78, "the table"),
    "floor": _surface(0.60, 0.05, 0.45, "what lies behind the table"),
    "arm": {
        **_paint(0.60, 0.05, 0.30, "the links"),
        **_paint(0.12, 0.05, 0.85, "the joints", "2"),
        "shine": Variable(0.3, 0.0, 1.0, "1", "specular reflection"),
    },
    "tip": _paint(0.33, 0.80, 0.60, "the tip"),
    "target": _paint(0.0, 0.85, 0.85, "the target"),
    "puck": _paint(0.62, 0.80, 0.80, "the puck"),
    "light": {
        "azimuth": Variable(60.0, -360.0, 360.0, "degrees", "where the main light comes from"),
        "elevation": Variable(60.0, 10.0, 90.0, "degrees", "height of the main light"),
        "intensity": Variable(0.6, 0.0, 1.5, "1", "main light"),
        "fill": Variable(0.15, 0.0, 1.0, "1", "second light, from the other side"),
        "ambient": Variable(0.35, 0.0, 1.0, "1", "light from everywhere"),
        "warmth": Variable(0.0, -1.0, 1.0, "1", "colour of the light, from blue (-1) to orange (1)"),
        "shadow": Variable(0.0, 0.0, 1.0, "1", "the main light casts shadows where this is above one half"),
    },
    "camera": {
        "dx": Variable(0.0, -0.3, 0.3, "m", "shift away from the robot"),
        "dy": Variable(0.0, -0.3, 0.3, "m", "shift to the robot's left"),
        "dz": Variable(0.0, -0.3, 0.3, "m", "shift up"),
        "pan": Variable(0.0, -20.0, 20.0, "degrees", "turn about the vertical"),
        "tilt": Variable(0.0, -20.0, 20.0, "degrees", "turn about the picture's horizontal"),
        "roll": Variable(0.0, -30.0, 30.0, "degrees", "turn about the viewing axis"),
        "fov": Variable(50.0, 30.0, 75.0, "degrees", "vertical field of view"),
    },
    "distractors": {
        "count": Variable(0.0, 0.0, 6.0, "1", "objects on the table, rounded"),
        **_paint(0.5, 0.5, 0.6, "an object"),
        "size": Variable(0.025, 0.005, 0.06, "m", "half width of an object"),
        "height": Variable(0.01, 0.002, 0.06, "m", "half height of an object"),
    },
    "sensor": {
        "exposure": Variable(0.0, -2.0, 2.0, "stops", "gain 2^exposure"),
        "red": Variable(1.0, 0.4, 2.0, "1", "gain of red against green"),
        "blue": Variable(1.0, 0.4, 2.0, "1", "gain of blue against green"),
        "saturation": Variable(1.0, 0.0, 2.0, "1", "colours against grey"),
        "vignette": Variable(0.0, 0.0, 1.0, "1", "darkening of the corners"),
        "shade": Variable(0.0, 0.0, 0.6, "1", "darkening along one direction"),
        "shade_angle": Variable(0.0, -360.0, 360.0, "degrees", "that direction"),
        "blur": Variable(0.0, 0.0, 3.0, "pixels", "standard deviation of the blur, of a picture of 96 pixels"),
        "noise": Variable(0.0, 0.0, 0.3, "1", "standard deviation of the noise, full scale 1"),
        "gamma": Variable(1.0, 0.3, 3.0, "1", "exponent of the tone curve"),
        "latency": Variable(0.0, 0.0, 0.3, "s", "age of the picture when the policy sees it"),
    },
}  # fmt: skip

VARIABLES = {f"{section}.{name}": it for section, names in SECTIONS.items() for name, it in names.items()}
TEXTURED = ("table", "floor")
