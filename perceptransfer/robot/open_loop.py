"""The source simulator run open loop on recorded commands, in short segments."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco import rollout

from perceptransfer.core.errors import DataError
from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.recording import Recording
from perceptransfer.robot.worlds import Reach, Start
from perceptransfer.robot.worlds.model import PHYSICS_STEP
from perceptransfer.robot.worlds.servo import Servo

_START = Start((0.0, 1.0), (0.2, 0.0), None, 0)


class OpenLoop:
    """Recordings cut into segments of ``segment`` ticks, each begun at the measured state.

    Short segments keep a wrong parameter's effect from adding up until the simulated arm is somewhere else, where
    nothing can be compared. Delay and play are a function of all commands before, so they run through a recording.

    Raises:
        DataError: no recordings, or a control period that is not a whole number of physics steps.
    """

    def __init__(self, recordings: Sequence[Recording], segment: int = 10) -> None:
        if not recordings:
            raise DataError("no recordings", key="recordings", remedy="record a few with `excite`")
        self._substeps = round(recordings[0].period / PHYSICS_STEP)
        if any(abs(one.period - self._substeps * PHYSICS_STEP) > 0.1 * PHYSICS_STEP for one in recordings):
            raise DataError(
                f"control periods of {[round(one.period, 4) for one in recordings]} s",
                key="recording.times", remedy=f"one period for all, a multiple of the physics step {PHYSICS_STEP} s",
            )  # fmt: skip
        ticks = max(len(one.commands) for one in recordings)
        self._longest = -(-ticks // segment) * segment
        self._commands = np.stack([_padded(one.commands, self._longest) for one in recordings], axis=1)
        self._world, starts, measured, valid = Reach(size=0), [], [], []
        for one in recordings:
            joints = _padded(one.joints[1:], self._longest)
            inside = np.arange(self._longest) < len(one.commands)
            for first in range(0, len(one.commands), segment):
                starts.append([0.0, *one.joints[first], *one.speeds[first]])
                measured.append(joints[first : first + segment])
                valid.append(inside[first : first + segment])
        self._starts, self._measured, self._valid = np.array(starts), np.array(measured), np.array(valid)[..., None]
        self._cuts = [range(0, len(one.commands), segment) for one in recordings]
        self.segments, self._segment = len(starts), segment

    def off(self, dynamics: Dynamics) -> Floats:
        """Simulated less measured joint angles in rad, ``[segments, ticks, 2]``, 0 where a segment is shorter."""
        self._world.reset(options={"start": _START, "dynamics": dynamics})
        speeds = self._motor(dynamics)
        length = self._segment * self._substeps
        control = np.array([
            speeds[first * self._substeps : first * self._substeps + length, i]
            for i, cuts in enumerate(self._cuts) for first in cuts
        ])  # fmt: skip
        states, _ = rollout.rollout(self._world.model, mujoco.MjData(self._world.model), self._starts, control)
        reached = states[:, self._substeps - 1 :: self._substeps, 1:3]
        return np.asarray((reached - self._measured) * self._valid, dtype=np.float64)

    def rms(self, dynamics: Dynamics) -> float:
        """Root mean square of `off`, rad."""
        return float(np.sqrt((self.off(dynamics) ** 2).sum() / (2 * self._valid.sum())))

    def _motor(self, dynamics: Dynamics) -> Floats:
        """Speeds that the joints' controllers are asked for, ``[physics steps, recordings, 2]`` in rad/s."""
        count = self._commands.shape[1]
        servo = Servo(dynamics, 2 * count, PHYSICS_STEP)
        rows = [servo.speed(now) for now in self._commands.reshape(self._longest, -1) for _ in range(self._substeps)]
        return np.array(rows).reshape(-1, count, 2)


def _padded(rows: Floats, length: int) -> Floats:
    return np.concatenate([rows, np.zeros((length - len(rows), 2))])
