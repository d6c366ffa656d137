"""The tool does not press too hard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.policy.gates.constraint import INSIDE, Constraint, margin_below, positive
from perceptransfer.policy.gates.evidence import Floats, Reading
from perceptransfer.policy.gates.speed import norm


class ContactForce(Constraint):
    """``|F| + stiffness * advance <= limit - margin`` in N; the advance is the way that the command leads into F.

    ``F`` is what the tool exerts on its surroundings. ``stiffness`` (N/m) is an upper bound of the contact's; the
    advance is ``max(0, F/|F| · J rate) * horizon``. A command that does not press further is judged by the limit
    alone, so that the tool can back out of a contact inside the margin.
    """

    kind, unit = "contact_force", "N"
    quantities: ClassVar[Mapping[str, str]] = {
        "limit": "force",
        "margin": "force",
        "stiffness": "stiffness",
        "horizon": "time",
    }
    channels = ("contact_force", "tool_jacobian")

    def __init__(self, limit: float, stiffness: float, horizon: float, margin: float = 0.0, clip: bool = True) -> None:
        self.limit, self.margin, self.clip = positive(limit, "limit"), margin_below(margin, limit), clip
        self.stiffness, self.horizon = positive(stiffness, "stiffness"), positive(horizon, "horizon")

    def measured(self, at: Mapping[str, Reading]) -> float:
        return norm(at["contact_force"].value) - self.limit

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        growth = self._growth(at, rate)
        return norm(at["contact_force"].value) + growth - (self.limit - (self.margin if growth > 0 else 0.0))

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        room = self.limit - self.margin - norm(at["contact_force"].value)
        growth = self._growth(at, rate)
        return rate * (max(0.0, room) * INSIDE / growth) if growth > 0 else rate

    def _growth(self, at: Mapping[str, Reading], rate: Floats) -> float:
        force = at["contact_force"].value
        size = norm(force)
        if size == 0.0:
            return 0.0
        advance = float(force / size @ (at["tool_jacobian"].value @ rate)) * self.horizon
        return self.stiffness * advance if not advance <= 0.0 else 0.0  # NaN must come out as NaN
