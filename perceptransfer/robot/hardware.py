"""What a robot driver implements, and the Gymnasium environment over it."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from perceptransfer.policy.gates import Evidence
from perceptransfer.policy.gates.evidence import Floats


class Hardware(abc.ABC):
    """A robot that takes one action a control period. Simulated and real ones look the same from here."""

    joints: int
    bound: float  # largest absolute action

    @abc.abstractmethod
    def reset(self, start: Any, options: Mapping[str, Any]) -> Evidence:
        """Bring the robot to a start and return what its sensors say; ``options`` are the driver's own."""

    @abc.abstractmethod
    def step(self, action: Floats) -> Evidence:
        """Send one action ``[joints]``, wait for the period to end, and return what the sensors say then."""

    @abc.abstractmethod
    def stop(self) -> Evidence:
        """Stop by the robot's own means, without a policy, and return what the sensors say afterwards."""

    @abc.abstractmethod
    def clock(self) -> float:
        """Now, in seconds of the clock that stamps the readings."""


class Outcome(NamedTuple):
    """How a tick went: reward, whether the task is solved now, and the distance that is left, in m."""

    reward: float
    solved: bool
    distance: float


class Task(abc.ABC):
    """What the robot is to do."""

    observation_size: int
    hold: int  # ticks in a row that it has to stay solved
    limit: int  # ticks an episode

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """A random start."""

    @abc.abstractmethod
    def observation(self, evidence: Evidence, start: Any) -> Floats:
        """What the policy sees, ``[observation_size]``."""

    @abc.abstractmethod
    def outcome(self, evidence: Evidence, start: Any) -> Outcome:
        """Judge the measured state."""


class HardwareEnv(gymnasium.Env[Any, Any]):
    """A driver and a task as a Gymnasium environment; ``info["evidence"]`` holds the readings.

    ``reset(options={"start": ...})`` begins at a given start; the other options go to the driver. An episode is
    terminated when the task was solved for ``task.hold`` ticks and truncated after ``task.limit``. Where a reading that
    the task needs is missing, the observation is NaN.
    """

    def __init__(self, hardware: Hardware, task: Task) -> None:
        self.hardware, self.task = hardware, task
        self.action_space = gymnasium.spaces.Box(-hardware.bound, hardware.bound, (hardware.joints,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (task.observation_size,), np.float32)

    def clock(self) -> float:
        """The robot's clock."""
        return self.hardware.clock()

    def halt(self) -> dict[str, Any]:
        """Stop the robot; the ``info`` of the state it comes to."""
        return self._info(self.hardware.stop())

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed)
        given = dict(options or {})
        self.start = given.pop("start") if "start" in given else self.task.draw(self.np_random)
        self._ticks = self._held = 0
        evidence = self.hardware.reset(self.start, given)
        return self._observed(evidence), self._info(evidence)

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        evidence = self.hardware.step(np.asarray(action, dtype=np.float64))
        outcome = self._outcome(evidence)
        self._ticks += 1
        self._held = self._held + 1 if outcome.solved else 0
        done = self._held >= self.task.hold
        info = {**self._info(evidence), "success": done}
        return self._observed(evidence), outcome.reward, done, self._ticks >= self.task.limit and not done, info

    def _observed(self, evidence: Evidence) -> Floats:
        try:
            return self.task.observation(evidence, self.start).astype(np.float32)
        except KeyError:  # a sensor is missing: nothing is seen, and the gate stops the next action
            return np.full(self.task.observation_size, np.nan, np.float32)

    def _outcome(self, evidence: Evidence) -> Outcome:
        try:
            return self.task.outcome(evidence, self.start)
        except KeyError:
            return Outcome(0.0, False, math.nan)

    def _info(self, evidence: Evidence) -> dict[str, Any]:
        return {"evidence": evidence, "success": False, "distance": self._outcome(evidence).distance}
