"""g of every constraint; a constraint that raises or has no value counts as violated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from perceptransfer.policy.gates.constraint import Constraint
from perceptransfer.policy.gates.decision import known
from perceptransfer.policy.gates.evidence import Floats, Reading, all_finite

Constraints = Mapping[str, Constraint]
Readings = Mapping[str, Reading]


def g_of_state(constraints: Constraints, at: Readings, notes: list[str]) -> dict[str, float]:
    """The g of the measured state, by the limits themselves. What raised is added to ``notes``."""
    found = {}
    for name, constraint in constraints.items():
        try:
            found[name] = known(constraint.measured(at))
        except Exception as error:  # whatever a constraint's author overlooked must not end the control loop
            found[name] = _raised(name, error, notes)
    return found


def g_of_motion(
    constraints: Constraints, at: Readings, rate: Floats, state: Mapping[str, float], notes: list[str]
) -> dict[str, float]:
    """The larger of g of the state and g of the commanded rate, for each constraint."""
    found = {}
    for name, constraint in constraints.items():
        try:
            found[name] = max(state[name], known(constraint.proposed(at, rate)))
        except Exception as error:
            found[name] = _raised(name, error, notes)
    return found


def clip_rate(constraints: Constraints, at: Readings, rate: Floats, notes: list[str]) -> Floats | None:
    """``rate`` after every clippable constraint that it violates has changed it in turn; None if that led nowhere."""
    for name, constraint in constraints.items():
        try:
            if constraint.clip and not constraint.proposed(at, rate) <= 0.0:
                changed = np.asarray(constraint.clipped(at, rate), dtype=np.float64)
                if changed.shape != rate.shape or not all_finite(changed):
                    return None
                rate = changed
        except Exception as error:
            _raised(name, error, notes)
            return None
    return rate


def _raised(name: str, error: Exception, notes: list[str]) -> float:
    notes.append(f"{name} raised {type(error).__name__}")
    return math.inf
