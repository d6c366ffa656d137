"""What both worlds share: the arm, its clock, its sensors and its camera."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np

from perceptransfer.core.errors import ActionError
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.look import Look
from perceptransfer.robot.worlds.camera import Camera, light_scene, place_camera, project
from perceptransfer.robot.worlds.model import (
    ARM_HEIGHT,
    PHYSICS_STEP,
    SPEED,
    TARGET_RADIUS,
    compiled,
)
from perceptransfer.robot.worlds.sensing import read_sensors
from perceptransfer.robot.worlds.servo import Servo
from perceptransfer.robot.worlds.start import Region, Start

Observation = dict[str, Any]


class ArmWorld(gymnasium.Env[Observation, Floats], ABC):
    """A two-joint arm over a table, driven by joint speeds at 20 Hz.

    Action: speed of shoulder and elbow, rad/s, in a box of ±2. Observation: ``image`` ``uint8 [size, size, 3]``
    (left out with ``size=0``) and ``proprio`` (joint angles in rad, joint speeds in rad/s, the tip's x, y in m
    that follow from the angles). ``info`` holds

    - ``measured``: what sensors would say, by name: ``joint_position`` (rad), ``joint_speed`` (rad/s),
      ``joint_torque`` (N·m), ``tip_position`` (x, y, z in m), ``tip_speed`` (m/s), ``contact_force`` (N, at the tip),
      ``time`` (s since the reset);
    - ``labels``: what only a simulator knows (`labels`);
    - ``distance`` to the goal (m), ``success``, ``appearance``.

    An episode ends when the goal was held for ``hold`` ticks, or is cut off after ``limit`` ticks. The reward is minus
    the distance to the goal in m. Close a world that has drawn pictures.
    """

    dt: ClassVar[float] = 0.05
    hold: ClassVar[int] = 5
    limit: ClassVar[int]
    tolerance: ClassVar[float]
    target_radius: ClassVar[float] = TARGET_RADIUS
    has_puck: ClassVar[bool] = False
    name: ClassVar[str]

    def __init__(self, look: Look | None = None, dynamics: Dynamics | None = None, size: int = 96) -> None:
        self.look, self.size = look or Look(), size
        self.model = compiled(max(size, 1), self.target_radius, self.has_puck)
        self.data = mujoco.MjData(self.model)
        self._seen = mujoco.MjData(self.model)  # the state that the camera saw, which may be older
        self._camera: Camera | None = None
        self._substeps = round(self.dt / PHYSICS_STEP)
        self._tip = self.model.site("tip").id
        self.dynamics = dynamics or Dynamics()
        spaces: dict[str, gymnasium.Space[Any]] = {"proprio": gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float64)}
        if size:
            spaces["image"] = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self.action_space = gymnasium.spaces.Box(-SPEED, SPEED, (2,), np.float64)

    @classmethod
    @abstractmethod
    def draw_start(cls, rng: np.random.Generator, region: Region) -> Start:
        """A random start whose target lies in a region; regions do not overlap."""

    @abstractmethod
    def goal_distance(self) -> float:
        """Distance that has to become smaller than ``tolerance``, m."""

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode at ``options["start"]`` (a `Start`), or at a random one inside.

        ``dynamics`` and ``look`` in the options replace those of the world from now on.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        self.look, self.dynamics = options.get("look", self.look), options.get("dynamics", self.dynamics)
        start = options.get("start")
        self.start: Start = start if start is not None else self.draw_start(self.np_random, "inside")
        self._set_dynamics()
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:2] = self.start.joints
        if self.start.puck is not None:
            self.data.qpos[2:4] = self.start.puck
        self.model.geom("target").pos[:2] = self.start.target
        self._dress()
        mujoco.mj_forward(self.model, self.data)
        self._servo = Servo(self.dynamics, 2, PHYSICS_STEP)
        self._history = [self.data.qpos.copy()]
        self._ticks = self._held = 0
        return self._observe(), self._info()

    def step(self, action: Floats) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command joint speeds for one tick; beyond the bounds the motors run at their bound.

        Raises:
            ActionError: NaN, infinite, or not two numbers.
        """
        command = np.asarray(action, dtype=np.float64)
        if command.shape != (2,) or not np.isfinite(command).all():
            raise ActionError(
                f"an action is two finite joint speeds, got {command.tolist()}", remedy="check the policy's output"
            )
        command = np.clip(command, -SPEED, SPEED)
        for _ in range(self._substeps):
            self.data.ctrl[:] = self._servo.speed(command)
            mujoco.mj_step(self.model, self.data)
            self._history.append(self.data.qpos.copy())
        mujoco.mj_forward(self.model, self.data)
        self._ticks += 1
        distance = self.goal_distance()
        self._held = self._held + 1 if distance < self.tolerance else 0
        success = self._held >= self.hold
        return self._observe(), -distance, success, self._ticks >= self.limit and not success, self._info()

    def place(self, joints: Floats, puck: Floats | None = None) -> tuple[Observation, dict[str, Any]]:
        """Put the arm (rad), and a puck (x, y in m), at rest elsewhere in the scene: for pictures, not for episodes."""
        self.data.qpos[:2], self.data.qvel[:] = joints, 0
        if puck is not None:
            self.data.qpos[2:4] = puck
        mujoco.mj_forward(self.model, self.data)
        self._history = [self.data.qpos.copy()]
        return self._observe(), self._info()

    def labels(self) -> dict[str, Floats]:
        """What only a simulator knows.

        ``target``, ``puck`` (x, y in m; the puck if there is one), ``tip`` (x, y, z in m), and ``keypoints``
        ``[k, 2]``, the pixels (column, row) of base, elbow, tip, target and puck.
        """
        elbow = self.data.body("fore").xpos
        points = [np.array([0.0, 0.0, ARM_HEIGHT]), elbow, self.data.site_xpos[self._tip]]
        points.append(np.array([*self.start.target, 0.0]))
        found = {"target": np.array(self.start.target), "tip": self.data.site_xpos[self._tip].copy()}
        if self.has_puck:
            found["puck"] = self.data.body("puck").xpos[:2].copy()
            points.append(self.data.body("puck").xpos)
        found["keypoints"] = project(self.model, self.data, np.array(points), max(self.size, 1))
        return found

    def measured(self) -> dict[str, Any]:
        """What the arm's sensors say now; see the class."""
        return read_sensors(self.model, self.data)

    def segmentation(self) -> Pixels:
        """Geom of every pixel plus one (see `Camera.segmentation`), of the present state."""
        return self._eye().segmentation(self.data)

    def close(self) -> None:
        """Give the graphics memory back."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _eye(self) -> Camera:
        if self._camera is None:
            self._camera = Camera(self.model, max(self.size, 1))
        return self._camera

    def _dress(self) -> None:
        self.appearance = self.look.sample(self.start.seed)
        if self.size:
            points = [np.array(point) for point in (self.start.target, self.start.puck) if point is not None]
            self._eye().dress(self.appearance, points)
        else:  # labels hold pixels, which the camera's pose decides
            light_scene(self.model, self.appearance.values)
            place_camera(self.model, self.appearance.values)

    def _set_dynamics(self) -> None:
        self.model.dof_frictionloss[:2] = self.dynamics.joint_friction
        if self.has_puck:
            self.model.dof_frictionloss[2:4] = self.dynamics.puck_friction
        # MuJoCo has no massless bodies; a point mass keeps an inertia of a ball with 1 cm radius.
        mass = max(self.dynamics.payload, 1e-6)
        body = self.model.body("payload")
        body.mass[:], body.inertia[:] = mass, 0.4 * mass * 1e-4
        mujoco.mj_setConst(self.model, self.data)

    def _observe(self) -> Observation:
        tip = self.data.site_xpos[self._tip][:2]
        observation: Observation = {"proprio": np.concatenate([self.data.qpos[:2], self.data.qvel[:2], tip])}
        if self.size:
            observation["image"] = self._eye().picture(self._delayed())
        return observation

    def _delayed(self) -> mujoco.MjData:
        """The state as old as the camera's latency."""
        age = round(self.appearance.values["sensor.latency"] / PHYSICS_STEP)
        if not age:
            return self.data
        self._seen.qpos[:] = self._history[max(0, len(self._history) - 1 - age)]
        mujoco.mj_kinematics(self.model, self._seen)
        mujoco.mj_comPos(self.model, self._seen)  # lights and cameras hang on it
        mujoco.mj_camlight(self.model, self._seen)
        return self._seen

    def _info(self) -> dict[str, Any]:
        return {
            "measured": self.measured(),
            "labels": self.labels(),
            "distance": self.goal_distance(),
            "success": self._held >= self.hold,
            "appearance": self.appearance,
        }

    def describe(self) -> dict[str, Any]:
        """Plain data from which an equal world is made, for files of demonstrations."""
        return {"world": self.name, "size": self.size, "dynamics": asdict(self.dynamics), "look": self.look.to_dict()}
