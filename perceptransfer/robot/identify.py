"""Which dynamics the source simulator needs to move as a robot did, and which of them the data do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from perceptransfer.core.files import write_atomic
from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.dynamics import LIMITS, Dynamics
from perceptransfer.robot.fitting import Fit, Residuals, fit
from perceptransfer.robot.open_loop import OpenLoop
from perceptransfer.robot.recording import Recording
from perceptransfer.robot.worlds.model import PHYSICS_STEP

UNKNOWN = 0.25  # half width of an interval, in units of the limits, from which on a parameter is not identified
_UNITS = {"joint_friction": "Nm", "puck_friction": "N", "delay": "s", "backlash": "rad", "payload": "kg", "gear": "%"}


@dataclass(frozen=True)
class Identified:
    """``dynamics`` with its 95 % ``intervals``; what the data do not tell is ``unknown`` and as it was before.

    ``error`` is the root mean square difference of joint angles in rad, before and after.
    """

    dynamics: Dynamics
    intervals: dict[str, tuple[float, float]]
    unknown: tuple[str, ...]
    error: tuple[float, float]

    def draw(self, rng: np.random.Generator) -> Dynamics:
        """Dynamics that the data allow: each parameter uniformly from its interval."""
        return replace(self.dynamics, **{name: float(rng.uniform(*ends)) for name, ends in self.intervals.items()})

    def write(self, path: Path) -> None:
        """Write the dynamics as a file that `Dynamics.read` takes, intervals in comments."""
        lines = [
            "# Fitted to recorded commands and joint angles; 95 % intervals behind the values.",
            f"# Difference of joint angles: {self.error[0]:.4f} rad before, {self.error[1]:.4f} rad after.",
        ]
        for name, value in asdict(self.dynamics).items():
            factor = 100 if name == "gear" else 1
            said = "# not told by the data, left as it was"
            if name in self.intervals:
                said = "# {:.4g} to {:.4g}".format(*(factor * end for end in self.intervals[name]))
            lines.append(f"{name}: {factor * value:.4g} {_UNITS[name]}  {said}")
        write_atomic(path, "\n".join(lines) + "\n")


def identify(
    recordings: Sequence[Recording],
    source: Dynamics | None = None,
    *,
    segment: int = 10,
    resolution: float = 0.001,
    tries: int = 64,
) -> Identified:
    """Fit all parameters to recordings by what the arm does open loop, in segments of ``segment`` ticks.

    Squares of joint angle differences are minimised from the best three of ``tries`` quasi-random parameter sets and
    from ``source``. Intervals let segments disagree as they do, and differences be at least ``resolution`` (rad), the
    joint encoders' own. A parameter whose interval would span half of its limits or more is unknown (a flat profile).

    Example::

        env = GatedEnv(HardwareEnv(driver, task), read_gate("gate.yaml"))
        recordings = [excite(env, {"start": start}, seed=i)[0] for i, start in enumerate(starts)]
        found = identify(recordings)
        found.write(Path("arm.yaml"))  # for Dynamics.read, with intervals in comments

    Papers: Ljung, System Identification, 2nd ed. 1999 (prediction errors, informative experiments); Muratore et al.,
    Robot Learning from Randomized Simulations, Frontiers in Robotics and AI 2022, section 4 (which parameters).

    Raises:
        DataError: recordings that cannot be simulated.
    """
    source = source or Dynamics()
    loop = OpenLoop(recordings, segment)
    names = Dynamics.names()
    found = _search(loop, source, names, resolution, tries)
    half = found.spread(loop.segments, floor=1.0)
    made, intervals = source, {}
    for name, value, wide in zip(names, found.values, half, strict=True):
        if wide < UNKNOWN:
            low, high = LIMITS[name]
            value, wide = low + value * (high - low), wide * (high - low)
            if name == "delay":  # the simulator's steps are no finer
                value, wide = round(value / PHYSICS_STEP) * PHYSICS_STEP, max(wide, PHYSICS_STEP / 2)
            made = replace(made, **{name: float(value)})
            intervals[name] = float(max(low, value - wide)), float(min(high, value + wide))
    unknown = tuple(name for name in names if name not in intervals)
    return Identified(made, intervals, unknown, (loop.rms(source), loop.rms(made)))


def profile(recordings: Sequence[Recording], at: Dynamics, name: str, values: Sequence[float]) -> list[float]:
    """Smallest error (rad) that is left with parameter ``name`` held at each value and the others fitted again.

    A flat profile means that the data do not tell this parameter: another one takes its place.
    """
    loop = OpenLoop(recordings)
    others = tuple(other for other in Dynamics.names() if other != name)
    errors = []
    for value in values:
        held = replace(at, **{name: value})
        found = fit(_residuals(loop, held, others, 1.0), _units(held, others), evaluations=10)
        errors.append(loop.rms(_scaled(held, others, found.values)))
    return errors


def _search(loop: OpenLoop, source: Dynamics, names: Sequence[str], resolution: float, tries: int) -> Fit:
    """The best of several local fits."""
    residuals = _residuals(loop, source, names, resolution)
    points = qmc.Sobol(len(names), seed=0).random(tries)
    costs = [float((residuals(point) ** 2).sum()) for point in points]
    starts = [_units(source, names), *points[np.argsort(costs)[:3]]]
    return min((fit(residuals, start) for start in starts), key=lambda found: found.cost)


def _residuals(loop: OpenLoop, source: Dynamics, names: Sequence[str], unit: float) -> Residuals:
    """Differences in ``unit`` rad, for parameters in units of their limits."""
    return lambda units: (loop.off(_scaled(source, names, units)) / unit).ravel()


def _units(dynamics: Dynamics, names: Sequence[str]) -> Floats:
    return np.array([(getattr(dynamics, n) - LIMITS[n][0]) / (LIMITS[n][1] - LIMITS[n][0]) for n in names])


def _scaled(source: Dynamics, names: Sequence[str], units: Floats) -> Dynamics:
    ends = [LIMITS[name] for name in names]
    values = {n: float(a + min(max(u, 0), 1) * (b - a)) for n, u, (a, b) in zip(names, units, ends, strict=True)}
    return replace(source, **values)
