"""Speed and separation: the nearer a person, the slower the tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.policy.gates.constraint import INSIDE, Constraint, margin_below, positive
from perceptransfer.policy.gates.evidence import Floats, Reading
from perceptransfer.policy.gates.speed import norm


class HumanDistance(Constraint):
    """``minimum + |J rate| * reaction + margin <= distance`` in m; ``minimum <= distance`` while standing still.

    ``reaction`` (s) is the time from seeing a person to standstill. The form is that of the protective separation
    distance of ISO/TS 15066, with the person's own speed and the sensors' uncertainty inside ``minimum`` and
    ``margin``; the numbers are the user's to determine, and no program makes a cell compliant.
    """

    kind, unit = "human_distance", "m"
    quantities: ClassVar[Mapping[str, str]] = {"minimum": "length", "margin": "length", "reaction": "time"}
    channels = ("human_distance", "tool_jacobian")

    def __init__(self, minimum: float, reaction: float, margin: float = 0.0, clip: bool = True) -> None:
        self.minimum, self.reaction = positive(minimum, "minimum"), positive(reaction, "reaction")
        self.margin, self.clip = margin_below(margin, float("inf")), clip

    def measured(self, at: Mapping[str, Reading]) -> float:
        return self.minimum - float(at["human_distance"].value)

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        speed = norm(at["tool_jacobian"].value @ rate)
        needed = self.minimum + (speed * self.reaction + self.margin if not speed <= 0.0 else 0.0)
        return needed - float(at["human_distance"].value)

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        room = float(at["human_distance"].value) - self.minimum - self.margin
        speed = norm(at["tool_jacobian"].value @ rate)
        return rate * (max(0.0, room) * INSIDE / (speed * self.reaction))
