"""The controllers underneath are up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.policy.gates.constraint import StateConstraint, positive
from perceptransfer.policy.gates.evidence import Reading


class ControllerHealth(StateConstraint):
    """At least the share ``minimum`` of the controllers reports to be up."""

    kind, unit = "controller_health", "1"
    quantities: ClassVar[Mapping[str, str]] = {"minimum": "share"}
    channels = ("controller_health",)

    def __init__(self, minimum: float = 1.0) -> None:
        self.minimum = positive(minimum, "minimum")

    def measured(self, at: Mapping[str, Reading]) -> float:
        return self.minimum - float(at["controller_health"].value)
