"""Which way is better: every score declares it, none is guessed from a metric's name."""

from __future__ import annotations

from enum import StrEnum

from perceptransfer.core.errors import UndefinedMetricError


class Direction(StrEnum):
    """``HIGHER``: larger is better (accuracy, IoU, PCK). ``LOWER``: smaller is better (AbsRel, pixel error)."""

    HIGHER = "higher"
    LOWER = "lower"

    @classmethod
    def parse(cls, value: Direction | str | None) -> Direction:
        """The declared direction.

        Raises:
            UndefinedMetricError: ``value`` is missing or is neither ``higher`` nor ``lower``.
        """
        try:
            return cls(value)  # type: ignore[arg-type]  # None and strangers are refused two lines below
        except ValueError:
            raise UndefinedMetricError(
                f"a score without a declared direction: {value!r}",
                key="direction",
                remedy="declare 'higher' (accuracy, IoU) or 'lower' (error, AbsRel)",
            ) from None


def orient(score: float, direction: Direction | str | None) -> float:
    """The score with its sign changed if lower is better, so that larger is always better.

    Raises:
        UndefinedMetricError: no direction is declared.
    """
    return score if Direction.parse(direction) is Direction.HIGHER else -score


def is_better(score: float, other: float, direction: Direction | str | None) -> bool:
    """Whether ``score`` is strictly better than ``other``."""
    return orient(score, direction) > orient(other, direction)
