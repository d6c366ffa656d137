"""A small simulated arm without pictures: quick enough for tests and for trying a protocol before the robot."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perceptransfer.policy.gates import Evidence
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.hardware import Hardware, Outcome, Task
from perceptransfer.robot.heat import MotorHeat
from perceptransfer.robot.planar_arm import jacobian, tool

LINK, PERIOD, STEP, BOUND = 0.2, 0.05, 0.005, 2.0  # m, s, s, rad/s
_SERVO, _INERTIA, _TORQUE = 0.6, 0.02, 1.5  # N·m·s/rad, kg·m², N·m


@dataclass(frozen=True)
class PlantDynamics:
    """What changes between a simulator and a robot.

    ``friction``: dry, of each joint, N·m. ``delay``: from command to torque, s. ``backlash``: play between motor and
    joint, rad. ``payload``: mass at the tip, kg.
    """

    friction: float = 0.02
    delay: float = 0.0
    backlash: float = 0.0
    payload: float = 0.0


@dataclass(frozen=True)
class ReachStart:
    """Joint angles (rad) and target of the tip (x, y in m)."""

    joints: tuple[float, float]
    target: tuple[float, float]


class PlanarPlant(Hardware):
    """Two independent joints under rate servos: ``I a = clip(K (u − w), ±T) − friction``, semi-implicit Euler, 5 ms.

    The command ``u`` (rad/s, at most 2) arrives ``delay`` later; the joint moves when the motor has crossed the play.
    ``reset`` takes other ``dynamics`` among its options.
    """

    joints, bound = 2, BOUND

    def __init__(self, dynamics: PlantDynamics | None = None) -> None:
        self.dynamics = dynamics or PlantDynamics()
        self._now = 0.0

    def clock(self) -> float:
        return self._now

    def reset(self, start: ReachStart, options: Mapping[str, Any]) -> Evidence:
        self.dynamics = options.get("dynamics", self.dynamics)
        self._motor, self._joint = list(start.joints), list(start.joints)
        self._speed, self._moved = [0.0, 0.0], [0.0, 0.0]
        self._heat, self._torque = MotorHeat(2), [0.0, 0.0]
        self._line = deque([(0.0, 0.0)] * (round(self.dynamics.delay / STEP) + 1))
        return self._evidence()

    def step(self, action: Floats) -> Evidence:
        command = tuple(min(max(float(value), -BOUND), BOUND) for value in action)
        before = list(self._joint)
        work = [0.0, 0.0]
        for _ in range(round(PERIOD / STEP)):
            self._line.append((command[0], command[1]))
            self._line.popleft()
            for joint, wanted in enumerate(self._line[0]):
                work[joint] += self._advance(joint, wanted) ** 2 * STEP / PERIOD
        self._moved = [(after - old) / PERIOD for after, old in zip(self._joint, before, strict=True)]
        self._torque = [math.sqrt(value) for value in work]
        self._now += PERIOD
        return self._evidence()

    def stop(self) -> Evidence:
        self._line = deque([(0.0, 0.0)] * len(self._line))  # a stop does not queue behind old commands
        for _ in range(4):
            evidence = self.step(np.zeros(2))
        return evidence

    def _advance(self, joint: int, wanted: float) -> float:
        """One physics step of a joint; the servo's torque in N·m."""
        inertia = _INERTIA + self.dynamics.payload * LINK**2
        torque = min(max(_SERVO * (wanted - self._speed[joint]), -_TORQUE), _TORQUE)
        free = self._speed[joint] + torque / inertia * STEP
        brake = self.dynamics.friction / inertia * STEP
        self._speed[joint] = math.copysign(max(0.0, abs(free) - brake), free)
        self._motor[joint] += self._speed[joint] * STEP
        play = self.dynamics.backlash / 2
        self._joint[joint] = min(max(self._joint[joint], self._motor[joint] - play), self._motor[joint] + play)
        return torque

    def _evidence(self) -> Evidence:
        joints = np.array(self._joint)
        return Evidence.taken(
            self._now,
            joint_position=joints,
            joint_velocity=np.array(self._moved),
            joint_temperature=self._heat.after(np.array(self._torque), PERIOD),
            tool_position=tool(joints, LINK),
            tool_jacobian=jacobian(joints, LINK),
            contact_force=np.zeros(2),
            actuator_delay=self.dynamics.delay,
            human_distance=3.0,
            controller_health=1.0,
        )


class PlantReach(Task):
    """Bring the tip within 15 mm of the target and keep it there for a quarter of a second.

    Observation: joint angles (rad), joint rates (rad/s), way from tip to target (x, y in m). Reward: minus the
    distance in m. Targets lie 17 to 33 cm from the base (``edge``: 34 to 37 cm), within 55° to either side.
    """

    observation_size, hold, limit, tolerance = 6, 5, 80, 0.015

    def __init__(self, edge: bool = False) -> None:
        self.radii = (0.34, 0.37) if edge else (0.17, 0.33)

    def draw(self, rng: np.random.Generator) -> ReachStart:
        while True:
            fan = math.radians(55)
            radius, angle = rng.uniform(*self.radii), rng.uniform(-fan, fan)
            target = np.array([radius * math.cos(angle), radius * math.sin(angle)])
            elbow = 2 * math.acos(rng.uniform(0.17, 0.33) / (2 * LINK))
            joints = (float(rng.uniform(-fan, fan) - elbow / 2), float(elbow))
            if np.hypot(*(tool(np.array(joints), LINK) - target)) > 0.08:
                return ReachStart(joints, (float(target[0]), float(target[1])))

    def observation(self, evidence: Evidence, start: ReachStart) -> Floats:
        at = evidence.readings
        way = np.array(start.target) - at["tool_position"].value
        return np.concatenate([at["joint_position"].value, at["joint_velocity"].value, way])

    def outcome(self, evidence: Evidence, start: ReachStart) -> Outcome:
        distance = math.dist(evidence.readings["tool_position"].value.tolist(), start.target)
        return Outcome(-distance, distance < self.tolerance, distance)
