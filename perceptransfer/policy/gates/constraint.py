"""Base of the constraints: one class per kind, found by its short name or its import path."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.evidence import Floats, Reading

KINDS: dict[str, type[Constraint]] = {}
# A clipped command is aimed this share inside its bound, so that rounding does not put it outside again.
INSIDE = 1.0 - 1e-6


class Constraint(Configurable, abc.ABC):
    """A condition ``g <= 0`` on the measured state and the commanded joint rate.

    `proposed` judges a command and keeps ``margin`` away from the limit, because what the robot then does is not
    exactly what was asked. `measured` judges the state by the limit itself; it also decides whether standing still is
    admissible. Both are in ``unit``. Values are finite when these are called; a result that is NaN counts as violated.

    Quantities are given in SI units to the constructor and with units in a gate file, where ``quantities`` says which
    dimension each argument has. ``clip`` lets the gate change a command instead of refusing it.
    """

    kind: ClassVar[str] = ""
    unit: ClassVar[str] = "1"
    quantities: ClassVar[Mapping[str, str]] = {}
    channels: ClassVar[tuple[str, ...]] = ()

    margin: float = 0.0
    clip: bool = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kind:
            KINDS[cls.kind] = cls

    @abc.abstractmethod
    def measured(self, at: Mapping[str, Reading]) -> float:
        """The measured state's g, without margin."""

    @abc.abstractmethod
    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        """The g of the commanded joint rate ``[n]`` (rad/s) from this state, with margin."""

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        """A rate near ``rate`` that satisfies this constraint, if there is one; only called where ``clip`` is set."""
        raise NotImplementedError(f"{type(self).__name__} does not clip")

    def expects(self) -> Mapping[str, int]:
        """Length of its vectors by the letter of `evidence.CHANNELS` (n joints, k axes), to be compared at loading."""
        return {}


class StateConstraint(Constraint):
    """A constraint on the state alone: inside the margin every command is held, beyond the limit all stops."""

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        return self.measured(at) + self.margin


def positive(value: float, key: str) -> float:
    """``value``.

    Raises:
        GateError: it is not a finite number above 0.
    """
    if not 0 < value < float("inf"):
        raise GateError(f"{value} is not above 0 and finite", key=key, remedy="give a limit above 0")
    return value


def margin_below(margin: float, limit: float, key: str = "margin") -> float:
    """``margin``.

    Raises:
        GateError: it is negative, or leaves nothing of the limit.
    """
    if not 0 <= margin < limit:
        raise GateError(f"{margin} is not in 0 .. {limit}", key=key, remedy="keep the margin smaller than the limit")
    return margin
