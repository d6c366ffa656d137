"""Which look the source simulator needs to show what a robot's camera sees, from a few pictures without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.fitting import Fit, Residuals, fit
from perceptransfer.robot.look import Look, Range
from perceptransfer.robot.picture_match import PictureMatch, grain
from perceptransfer.robot.variables import VARIABLES
from perceptransfer.robot.worlds import ArmWorld

COLOURS = ("table.hue", "table.saturation", "table.value", "floor.value", "arm.hue", "arm.saturation", "arm.value",
    "arm.hue2", "arm.saturation2", "arm.value2", "light.intensity", "light.ambient", "light.warmth",
    "sensor.exposure", "sensor.red", "sensor.blue")  # fmt: skip
CAMERA = tuple(f"camera.{name}" for name in ("dx", "dy", "dz", "pan", "tilt", "roll", "fov"))
DETAILS = ("light.azimuth", "light.elevation", "light.fill", "sensor.vignette", "sensor.blur", "sensor.gamma")
FITTED = (*COLOURS, *CAMERA, *DETAILS)
NOISE, SHADOW, _DIRECTION = "sensor.noise", "light.shadow", ("light.azimuth", "light.elevation")
PRIOR = 0.25  # standard deviation of a variable around the simulator's value, in units of its limits
_PRIORS = dict.fromkeys(CAMERA, 0.1)  # cameras are mounted to 6 cm and 4 degrees


class Stage(NamedTuple):
    """Variables that are fitted together, on pictures blurred by ``blur`` (standard deviation in pixels), in at most
    ``evaluations`` steps; with ``search`` the light's direction and shadows are looked for before.
    """  # noqa: D205 - one sentence

    names: tuple[str, ...]
    blur: float
    evaluations: int
    search: bool = False


STAGES = (
    Stage(COLOURS, 6.0, 8),
    Stage((*COLOURS, *CAMERA), 4.0, 12),
    Stage(FITTED, 3.0, 12, search=True),
    Stage(CAMERA, 1.5, 10),
    Stage(FITTED, 2.0, 10),
)


@dataclass(frozen=True, eq=False)
class IdentifiedLook:
    """``look`` has a range for what was fitted; of ``unknown`` variables the pictures tell little and ranges are wide.

    ``estimates`` are the best values, ``misfit`` is the root mean square difference of the blurred pictures, full
    scale 1, before and after.
    """

    look: Look
    estimates: dict[str, float]
    unknown: tuple[str, ...]
    misfit: tuple[float, float]

    def write(self, path: Path) -> None:
        """Write the look, with what is known about it in comments."""
        before, after = self.misfit
        header = (
            "# Fitted to pictures of the robot's camera at known joint angles. A range is what one episode's look may\n"
            f"# be, at 95 %. Difference of blurred pictures: {before:.3f} before, {after:.3f} after, full scale 1.\n"
            f"# Hardly told by the pictures: {', '.join(self.unknown) or 'nothing'}.\n"
            "# Not fitted: textures, colours of tip, target and puck, shine, objects that lie around, latency.\n"
        )
        self.look.write(path, header)


def identify_look(
    world: ArmWorld,
    pictures: Sequence[Pixels],
    joints: Sequence[Floats],
    source: Look,
    *,
    stages: Sequence[Stage] = STAGES,
) -> IdentifiedLook:
    """Fit camera, sensor, light and colours of ``source`` to pictures.

    ``pictures`` holds ``uint8 [k, S, S, 3]`` of each episode and ``joints`` the angles ``[k, 2]`` (rad) at which they
    were taken; k is the same in all. The ``world`` draws the arm at the same angles; blurred pictures, coarse to fine,
    are compared by robust least squares, so that a target, objects and patterns that the drawing does not have count
    little. A range is as wide as episodes disagree, at 95 %; where the pictures tell nothing it is a prior's.

    What all episodes share, such as a pattern that is not drawn, biases every one of them and is in no range. Colours,
    light and gains stand in for each other, and so do position and direction of the camera: together they show what
    the camera saw; each alone may be off.

    Papers: Baker & Matthews, Lucas-Kanade 20 Years On, IJCV 2004 (coarse to fine, by the pictures themselves); Chebotar
    et al., Closing the Sim-to-Real Loop, ICRA 2019 (parameters of a simulator from few real episodes).

    Raises:
        DataError: fewer than two episodes, or pictures and joints that do not fit the world or each other.
    """
    scene = PictureMatch(world, pictures, joints)
    values = {key: float(np.mean(source.ranges[key])) for key in (*FITTED, NOISE, SHADOW)}
    start, centre = dict(values), dict(values)
    found: Fit | None = None
    for names, blur, evaluations, search in stages:
        if search:
            values |= _light(scene, source.changed(values), blur)
            centre |= {key: values[key] for key in (SHADOW, *_DIRECTION)}
        residuals = _off(scene, source.changed(values), names, blur)
        prior = _units(names, centre), np.array([_PRIORS.get(name, PRIOR) for name in names])
        found = fit(residuals, _units(names, values), step=0.02, prior=prior, robust=True, evaluations=evaluations)
        values |= _scaled(names, found.values)
    assert found is not None
    # A single episode's look varies √episodes times as much as what is fitted to all of them.
    half = found.spread(len(pictures)) * np.sqrt(len(pictures))
    unknown = tuple(name for name, wide in zip(names, half, strict=True) if wide >= PRIOR)
    # What is unknown moves with the rest: its old value would contradict the others' new ones.
    ranges: dict[str, Range | float] = {
        name: _range(name, values[name], min(wide, PRIOR)) for name, wide in zip(names, half, strict=True)
    }
    ranges[NOISE] = _noise(scene, source.changed(values))
    values[NOISE] = float(np.mean(ranges[NOISE]))
    misfit = scene.misfit(source.changed(start)), scene.misfit(source.changed(values))
    look = source.changed({**ranges, SHADOW: values[SHADOW]}, "identified")
    return IdentifiedLook(look, values, unknown, misfit)


def _noise(scene: PictureMatch, look: Look) -> Range:
    """Noise with which drawings are as grainy as the pictures, from the least to the most grainy of these."""
    grains = [grain(scene.draw(look.changed({NOISE: noise}))) ** 2 for noise in (0.0, 0.05)]
    power = (grain(scene.seen) ** 2 - grains[0]).mean(axis=1) / (grains[1] - grains[0]).mean(axis=1)
    found = np.clip(0.05 * np.sqrt(np.clip(power, 0, None)), 0, VARIABLES[NOISE].high)
    return round(float(found.min()), 4), round(float(found.max()), 4)


def _off(scene: PictureMatch, look: Look, names: Sequence[str], blur: float) -> Residuals:
    return lambda at: scene.off(look.changed(_scaled(names, at)), blur)


def _light(scene: PictureMatch, look: Look, blur: float) -> dict[str, float]:
    """Direction of the main light and whether it casts shadows: the best of a coarse search."""
    tried = [{key: look.ranges[key][0] for key in (SHADOW, *_DIRECTION)}]
    tried += [
        {SHADOW: 1.0, _DIRECTION[0]: float(azimuth), _DIRECTION[1]: float(elevation)}
        for azimuth in range(-180, 180, 45)
        for elevation in (35, 50, 65)
    ]
    return min(tried, key=lambda light: scene.shape(look.changed(light), blur))


def _units(names: Sequence[str], values: dict[str, float]) -> Floats:
    return np.array([(values[n] - VARIABLES[n].low) / (VARIABLES[n].high - VARIABLES[n].low) for n in names])


def _scaled(names: Sequence[str], units: Floats) -> dict[str, float]:
    ends = [(VARIABLES[name].low, VARIABLES[name].high) for name in names]
    return {n: float(a + min(max(u, 0), 1) * (b - a)) for n, u, (a, b) in zip(names, units, ends, strict=True)}


def _range(name: str, value: float, half: float) -> Range:
    it = VARIABLES[name]
    wide = float(half) * (it.high - it.low)
    return round(max(it.low, value - wide), 4), round(min(it.high, value + wide), 4)
