"""What the gate decided on one proposal, and what it saw afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from perceptransfer.policy.gates.evidence import Floats


class Kind(StrEnum):
    """What happens to a proposal.

    ``PASS``: executed as it is. ``CLIP``: changed and judged again. ``HOLD``: the robot stands still under control.
    ``STOP``: the robot is stopped and no command goes out. ``HUMAN``: a person has it and no command goes out.
    """

    PASS = "pass"
    CLIP = "clip"
    HOLD = "hold"
    STOP = "stop"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Decision:
    """One proposal's fate.

    ``executed`` is the action to be sent, None for stop and human. ``before`` and ``after`` are g by constraint, of
    the proposal and of what is executed (of the measured state where nothing moves), in each constraint's unit;
    infinity where g had no value; empty where the sensors could not be relied on. ``binding`` are the constraints
    that the proposal or the state violates. ``validity`` says what was wrong with action and sensors; empty: nothing.
    ``correction`` is the Euclidean norm of executed minus proposed in units of the action, None where one is missing.
    ``latency`` is in seconds.
    """

    kind: Kind
    executed: Floats | None
    before: Mapping[str, float]
    after: Mapping[str, float]
    binding: tuple[str, ...]
    validity: tuple[str, ...]
    correction: float | None
    latency: float

    @property
    def intervened(self) -> bool:
        """Whether something else than the proposal happened."""
        return self.kind is not Kind.PASS


@dataclass(frozen=True, slots=True)
class Audit:
    """The measured state against the limits, without margin: ``g`` by constraint; ``violated``; ``validity``."""

    g: Mapping[str, float]
    violated: tuple[str, ...]
    validity: tuple[str, ...]


def violated(g: Mapping[str, float]) -> tuple[str, ...]:
    """Names whose g is not at most 0; written so that NaN is a violation."""
    return tuple(name for name, value in g.items() if not value <= 0.0)


def known(value: float) -> float:
    """``value``, or infinity where it is NaN or infinite: what cannot be judged counts as violated."""
    return value if math.isfinite(value) else math.inf
