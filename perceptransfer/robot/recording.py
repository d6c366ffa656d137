"""What a robot did in answer to commands: the data of system identification."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from perceptransfer.core.errors import DataError
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.gated import GatedEnv, Tick

LEVELS = (0.2, 2.0)  # rad/s, of the excitation; dry friction shows at its low end, gear and load at its high end
HOLD = (5, 15)  # ticks that a level lasts


@dataclass(frozen=True, eq=False)
class Recording:
    """One episode: ``commands`` ``[n, 2]`` in rad/s, each sent at its time, and what was measured before each and at
    the end: ``times`` ``[n + 1]`` in s, ``joints`` and ``speeds`` ``[n + 1, 2]`` in rad and rad/s. The arm is at rest
    at first. ``pictures`` are of the ticks ``moments``.

    Raises:
        DataError: shapes that do not fit, NaN, infinity, or times that are not one control period apart.
    """  # noqa: D205 - one sentence

    times: Floats
    joints: Floats
    speeds: Floats
    commands: Floats
    moments: tuple[int, ...] = ()
    pictures: Pixels | None = None

    def __post_init__(self) -> None:
        n = len(self.commands)
        shapes = [np.shape(part) for part in (self.times, self.joints, self.speeds, self.commands)]
        if n < 1 or shapes != [(n + 1,), (n + 1, 2), (n + 1, 2), (n, 2)]:
            raise DataError(
                f"times, joints, speeds and commands have shapes {shapes}",
                key="recording", remedy="give n commands and n + 1 measurements of two joints",
            )  # fmt: skip
        for name in ("times", "joints", "speeds", "commands"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError("NaN or infinite", key=f"recording.{name}", remedy="cut the recording there")
        periods = np.diff(self.times)
        middle = float(np.median(periods))
        if middle <= 0 or np.abs(periods - middle).max() > 0.1 * middle:
            raise DataError(
                f"periods between {1000 * periods.min():.1f} and {1000 * periods.max():.1f} ms",
                key="recording.times", remedy="cut the recording where a tick is missing",
            )  # fmt: skip

    @property
    def period(self) -> float:
        """Time between commands, s."""
        return float(np.median(np.diff(self.times)))

    def picture_joints(self) -> Floats:
        """Joint angles ``[k, 2]`` at the pictures."""
        return np.asarray(self.joints[list(self.moments)], dtype=np.float64)


def excite(
    env: GatedEnv, reset: dict[str, Any], *, ticks: int = 60, seed: int = 0, moments: Collection[int] = ()
) -> tuple[Recording, list[Tick]]:
    """Move the arm so that its dynamics show, behind the gate; the recording and what the gate did.

    Each joint keeps a random speed for a random while, between creeping and full speed (evenly in their logarithm) and
    in either direction, more often towards the middle of its way. What was carried out is recorded, not what was
    proposed. ``reset`` are the environment's options; it ends early where the episode or the gate does.
    """
    rng = np.random.default_rng(seed)
    observation, info = env.reset(options=reset)
    home, left, speed = _joints(info)[0], np.zeros(2, dtype=int), np.zeros(2)
    measured, commands, passed, pictures, kept = [_joints(info)], list[Any](), list[Tick](), list[Any](), list[int]()
    ended = False
    while not ended and len(commands) < ticks:
        if len(commands) in moments:
            pictures.append(observation["image"])
            kept.append(len(commands))
        for joint in np.flatnonzero(left <= 0):
            left[joint] = rng.integers(*HOLD)
            back = 0.5 - 0.6 * np.tanh(2 * (measured[-1][0][joint] - home[joint]))
            way = 1.0 if rng.random() < back else -1.0
            speed[joint] = way * np.exp(rng.uniform(*np.log(LEVELS)))
        left -= 1
        observation, _, terminated, truncated, info = env.step(speed.copy())
        passed.append(info["gate"])
        executed, ended = passed[-1].decision.executed, terminated or truncated
        if executed is None:
            break
        commands.append(executed)
        measured.append(_joints(info))
    joints, speeds, times = zip(*measured, strict=True)
    shown = np.stack(pictures) if pictures else None
    made = Recording(np.array(times), np.stack(joints), np.stack(speeds), np.array(commands), tuple(kept), shown)
    return made, passed


def _joints(info: dict[str, Any]) -> tuple[Floats, Floats, float]:
    readings = info["evidence"].readings
    position = readings["joint_position"]
    return np.array(position.value), np.array(readings["joint_velocity"].value), float(position.time)
