"""The gate between a policy and its robot: finite first, then fresh, then the constraints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from perceptransfer.core.config import Configurable, fingerprint
from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.action import Action
from perceptransfer.policy.gates.constraint import Constraint, positive
from perceptransfer.policy.gates.decision import Audit, Decision, Kind, violated
from perceptransfer.policy.gates.evaluate import Readings, clip_rate, g_of_motion, g_of_state
from perceptransfer.policy.gates.evidence import (
    CHANNELS,
    Evidence,
    Floats,
    Freshness,
    all_finite,
    invalid_readings,
)


class Proposal(NamedTuple):
    """A usable action ``[joints]`` and its number type, or None and why it is none."""

    value: Floats | None
    dtype: np.dtype[Any]
    problem: str | None


class Gate(Configurable):
    """Judges every proposed action before it is executed (`check`) and the measured state after it (`audit`).

    A person's hand comes first, then sensors: without valid ones nothing can be known to be admissible, and the robot
    stops. It also stops when the measured state is outside a limit. A proposal that is not finite is held. What
    violates constraints is clipped if all of them declare that, judged again in the number type in which it will be
    sent, and held if it still does not fit. The gate has no memory: equal inputs give equal decisions.

    ``max_age`` and ``max_lead`` (seconds) say how old a reading may be and how far ahead of the clock. ``tool_axes``
    is 2 or 3. A constraint that raises counts as violated; a control loop must not end in a traceback.

    Raises:
        GateError: no constraint, or one that does not fit the number of joints or axes.
    """

    def __init__(
        self,
        action: Action,
        constraints: Mapping[str, Constraint],
        max_age: float,
        max_lead: float = 0.0,
        tool_axes: int = 3,
    ) -> None:
        if not constraints:
            raise GateError("no constraints", key="constraints", remedy="declare at least one")
        if max_lead < 0 or not math.isfinite(max_lead):
            raise GateError(f"{max_lead} is negative or not finite", key="max_lead", remedy="use 0 s or more")
        self.action, self.constraints = action, dict(constraints)
        self.freshness = Freshness(positive(max_age, "max_age"), max_lead)
        self.shapes = self._needed_shapes({"n": action.joints, "k": tool_axes})

    def identity(self) -> str:
        """Hash of constraints, limits, action and freshness."""
        return fingerprint(self)

    def check(self, evidence: Evidence, action: object, now: float) -> Decision:
        """Exactly one decision on a proposed action ``[joints]``; ``now`` is the robot's clock in seconds."""
        started = time.perf_counter()
        with np.errstate(all="ignore"):  # extreme numbers overflow to infinity, which counts as violated
            return self._decide(evidence, action, now, started)

    def audit(self, measured: Evidence, now: float) -> Audit:
        """The state that was measured after an action."""
        problems = invalid_readings(measured, self.shapes, now, self.freshness)
        if problems:
            return Audit({}, (), tuple(problems))
        notes: list[str] = []
        with np.errstate(all="ignore"):
            g = g_of_state(self.constraints, measured.readings, notes)
        return Audit(g, violated(g), tuple(notes))

    def _decide(self, evidence: Evidence, action: object, now: float, started: float) -> Decision:
        at, proposal = evidence.readings, _proposal(action, self.action.joints)
        notes = invalid_readings(evidence, self.shapes, now, self.freshness)
        state: Mapping[str, float] = {} if notes else g_of_state(self.constraints, at, notes)
        before = state
        if proposal.value is None:
            notes.append(str(proposal.problem))
        elif state:
            before = g_of_motion(self.constraints, at, self.action.rate(proposal.value, at), state, notes)
        if evidence.human is not False:  # whatever is not a plain False is taken for a hand on the robot
            kind, executed, after = Kind.HUMAN, None, state
        elif not state or violated(state):
            kind, executed, after = Kind.STOP, None, state
        else:
            kind, executed, after = self._moving(at, proposal, state, before, notes)
        correction = None
        if executed is not None and proposal.value is not None:
            correction = math.dist(executed.tolist(), proposal.value.tolist())
        spent = time.perf_counter() - started
        return Decision(kind, executed, before, after, violated(before), tuple(notes), correction, spent)

    def _moving(
        self,
        at: Readings,
        proposal: Proposal,
        state: Mapping[str, float],
        before: Mapping[str, float],
        notes: list[str],
    ) -> tuple[Kind, Floats | None, Mapping[str, float]]:
        """Pass, clip or hold, from a valid state inside the limits."""
        broken = violated(before)
        if proposal.value is not None and not broken:
            return Kind.PASS, proposal.value, before
        if proposal.value is not None and all(self.constraints[name].clip for name in broken):
            rate = clip_rate(self.constraints, at, self.action.rate(proposal.value, at), notes)
            if rate is not None:
                fitted = self.action.command(rate, at).astype(proposal.dtype).astype(np.float64)
                after = g_of_motion(self.constraints, at, self.action.rate(fitted, at), state, notes)
                if all_finite(fitted) and not violated(after):
                    return Kind.CLIP, fitted, after
        hold = self.action.hold(at).astype(proposal.dtype).astype(np.float64)
        return (Kind.HOLD, hold, state) if all_finite(hold) else (Kind.STOP, None, state)

    def _needed_shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        needed: dict[str, tuple[int, ...]] = {}
        for name, constraint in self.constraints.items():
            for letter, length in constraint.expects().items():
                if length != sizes[letter]:
                    raise GateError(
                        f"{length} numbers for {sizes[letter]} {'joints' if letter == 'n' else 'axes'}",
                        key=f"constraints.{name}",
                        remedy="give one number per joint (joint_limit) or axis of tool_axes (workspace_box)",
                    )
            for channel in constraint.channels:
                needed[channel] = tuple(sizes[letter] for letter in CHANNELS[channel][1])
        for channel in self.action.channels:
            needed[channel] = tuple(sizes[letter] for letter in CHANNELS[channel][1])
        return needed


def _proposal(action: object, joints: int) -> Proposal:
    double = np.dtype(np.float64)
    try:
        array: np.ndarray[Any, np.dtype[Any]] = np.asarray(action)
    except Exception:  # ragged lists, tensors on another device
        return Proposal(None, double, "action is no array")
    if array.dtype.kind not in "fiu" or array.shape != (joints,):
        return Proposal(None, double, f"action of type {array.dtype} and shape {array.shape}")
    value = array.astype(np.float64)
    dtype = array.dtype if array.dtype.kind == "f" else double
    return Proposal(value, dtype, None) if all_finite(value) else Proposal(None, dtype, "action not finite")
