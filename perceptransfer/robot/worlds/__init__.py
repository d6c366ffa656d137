"""Simulated worlds: a two-joint arm that reaches, and one that pushes."""

from perceptransfer.robot.worlds.base import ArmWorld as ArmWorld
from perceptransfer.robot.worlds.push import Push as Push
from perceptransfer.robot.worlds.reach import Reach as Reach
from perceptransfer.robot.worlds.start import Start as Start

WORLDS: dict[str, type[ArmWorld]] = {"reach": Reach, "push": Push}
