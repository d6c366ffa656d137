"""Evidence for the gate from a simulated world that reports its sensors by name."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from perceptransfer.policy.gates import Evidence
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.heat import MotorHeat
from perceptransfer.robot.planar_arm import jacobian


class WithEvidence(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A two-joint world whose ``info["measured"]`` has ``joint_position``, ``joint_speed``, ``joint_torque``,
    ``tip_position``, ``contact_force`` (a magnitude) and ``time``, as one that `GatedEnv` can drive.

    The clock is the world's time. What such a world does not measure is filled in: the Jacobian from the joints and
    ``link`` (m), heat from torque, the force's direction from the tip's motion (last known), the actuator delay from
    the world's ``dynamics``, a person at ``human_distance`` m, healthy controllers. Halting commands rates of 0 until
    ``halt_ticks`` have passed.
    """  # noqa: D205 - one sentence

    def __init__(
        self, env: gymnasium.Env[Any, Any], link: float = 0.2, human_distance: float = 3.0, halt_ticks: int = 5
    ) -> None:
        super().__init__(env)
        self.link, self.human_distance, self.halt_ticks = link, human_distance, halt_ticks

    def clock(self) -> float:
        """Time of the newest measurement, in s."""
        return self._time

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._heat, self._time, self._direction = MotorHeat(2), float(info["measured"]["time"]), np.array([1.0, 0.0])
        return observation, self._with(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, self._with(info)

    def halt(self) -> dict[str, Any]:
        """Command rates of 0 for a while and return the info of what comes of it."""
        for _ in range(self.halt_ticks):
            *_, info = self.env.step(np.zeros(2))
            made = self._with(info)
        return made

    def _with(self, info: dict[str, Any]) -> dict[str, Any]:
        measured = info["measured"]
        joints, speed = (np.asarray(measured[name], dtype=np.float64) for name in ("joint_position", "joint_speed"))
        now = float(measured["time"])
        heat = self._heat.after(np.asarray(measured["joint_torque"], dtype=np.float64), max(0.0, now - self._time))
        self._time = now
        slope: Floats = jacobian(joints, self.link)
        motion = slope @ speed
        size = float(np.hypot(*motion))
        if size > 1e-3:  # m/s; below it the direction is noise
            self._direction = motion / size
        evidence = Evidence.taken(
            now,
            joint_position=joints,
            joint_velocity=speed,
            joint_temperature=heat,
            tool_position=np.asarray(measured["tip_position"])[:2],
            tool_jacobian=slope,
            contact_force=float(measured["contact_force"]) * self._direction,
            actuator_delay=float(self.env.get_wrapper_attr("dynamics").delay),
            human_distance=self.human_distance,
            controller_health=1.0,
        )
        return {**info, "evidence": evidence}
