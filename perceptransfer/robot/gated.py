"""A gate around any Gymnasium environment that says what its sensors measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from perceptransfer.core.errors import ProtocolError
from perceptransfer.policy.gates import Audit, Decision, Evidence, Gate


@dataclass(frozen=True, slots=True)
class Tick:
    """One control period: what was seen and proposed, what the gate made of it, and what was measured afterwards.

    ``observation`` and ``evidence`` are those before the action; ``ended`` is true in an episode's last tick.
    """

    number: int
    observation: Any
    evidence: Evidence
    proposed: Any
    decision: Decision
    audit: Audit
    reward: float
    distance: float | None
    ended: bool


class GatedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every action passes a gate before it reaches the environment; ``info["gate"]`` is the `Tick`.

    The environment gives ``info["evidence"]`` after reset and step, and has ``clock()`` and ``halt()``, which stops
    the robot and returns an ``info`` (`HardwareEnv` and `WithEvidence` do). Stop and human end the episode as
    truncated, with the last observation and ``stop_reward``, which should be worse than any episode: were it 0, a
    learner with negative rewards would find that asking for a stop pays.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        gate: Gate,
        record: Callable[[Tick], None] | None = None,
        stop_reward: float = -100.0,
    ) -> None:
        super().__init__(env)
        self.gate, self.record, self.stop_reward = gate, record, stop_reward
        self._clock: Callable[[], float] = env.get_wrapper_attr("clock")
        self._halt: Callable[[], dict[str, Any]] = env.get_wrapper_attr("halt")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._observation, self._evidence, self._number = observation, _evidence(info), 0
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, evidence = self._observation, self._evidence
        decision = self.gate.check(evidence, action, self._clock())
        if decision.executed is None:
            info = self._halt()
            observation, reward, terminated, truncated = seen, self.stop_reward, False, True
        else:
            # The gate has judged the action in the number type that came in; the space's own type may be another.
            observation, given, terminated, truncated, info = self.env.step(decision.executed)
            reward = float(given)
        self._observation, self._evidence = observation, _evidence(info)
        audit = self.gate.audit(self._evidence, self._clock())
        ended, distance = bool(terminated or truncated), info.get("distance")
        tick = Tick(self._number, seen, evidence, np.array(action), decision, audit, reward, distance, ended)
        self._number += 1
        if self.record is not None:
            self.record(tick)
        return observation, reward, terminated, truncated, {**info, "gate": tick}


def _evidence(info: dict[str, Any]) -> Evidence:
    evidence = info.get("evidence")
    if not isinstance(evidence, Evidence):
        raise ProtocolError(
            "the environment's info has no evidence for the gate",
            key="evidence",
            remedy="wrap it in WithEvidence, or drive it by a Hardware and HardwareEnv",
        )
    return evidence
