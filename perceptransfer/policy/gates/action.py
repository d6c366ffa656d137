"""What the numbers of an action mean, so that constraints can speak of joint rates whatever is commanded."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.constraint import positive
from perceptransfer.policy.gates.evidence import Floats, Reading


class Action(Configurable, abc.ABC):
    """A command ``[joints]``; ``scale`` is what an action of 1 stands for, in the unit of the kind."""

    quantities: ClassVar[Mapping[str, str]] = {}
    channels: ClassVar[tuple[str, ...]] = ()

    def __init__(self, joints: int, scale: float) -> None:
        if not isinstance(joints, int) or joints < 1:
            raise GateError(f"{joints!r} joints", key="joints", remedy="give the number of joints")
        self.joints, self.scale = joints, positive(scale, "scale")

    @abc.abstractmethod
    def rate(self, action: Floats, at: Mapping[str, Reading]) -> Floats:
        """Joint rate (rad/s) that the action commands."""

    @abc.abstractmethod
    def command(self, rate: Floats, at: Mapping[str, Reading]) -> Floats:
        """Inverse of `rate`."""

    def hold(self, at: Mapping[str, Reading]) -> Floats:
        """The action that stands still."""
        return self.command(np.zeros(self.joints), at)


class JointVelocity(Action):
    """Target rates of the joints; ``scale`` in rad/s."""

    quantities: ClassVar[Mapping[str, str]] = {"scale": "angular speed"}

    def rate(self, action: Floats, at: Mapping[str, Reading]) -> Floats:
        return action * self.scale

    def command(self, rate: Floats, at: Mapping[str, Reading]) -> Floats:
        return rate / self.scale


class JointPosition(Action):
    """Target angles, to be reached within ``period`` seconds; ``scale`` in rad."""

    quantities: ClassVar[Mapping[str, str]] = {"scale": "angle", "period": "time"}
    channels = ("joint_position",)

    def __init__(self, joints: int, scale: float, period: float) -> None:
        super().__init__(joints, scale)
        self.period = positive(period, "period")

    def rate(self, action: Floats, at: Mapping[str, Reading]) -> Floats:
        return (action * self.scale - at["joint_position"].value) / self.period

    def command(self, rate: Floats, at: Mapping[str, Reading]) -> Floats:
        return (at["joint_position"].value + rate * self.period) / self.scale


ACTIONS: dict[str, type[Action]] = {"joint_velocity": JointVelocity, "joint_position": JointPosition}
