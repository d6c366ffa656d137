"""How much survives on real images: numbers over scores that declare their direction.

All functions raise `UndefinedMetricError` when a score is not finite, when no direction is declared, or when the
number has no value for these scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import finite
from perceptransfer.metrics.direction import Direction, is_better, orient


class TransferRatio(NamedTuple):
    """A ratio with its denominator: the same score against a weaker reference gives a larger one."""

    value: float
    denominator: float
    recipe: str


@dataclass(frozen=True)
class NegativeTransfer:
    """Where transfer did harm.

    ``stages`` are the stages that end below source-only; ``below_real_only`` tells whether the last stage ends below
    real-only training with the same labels, ``None`` when there is no such run to compare with.
    """

    stages: tuple[str, ...]
    below_real_only: bool | None

    def __str__(self) -> str:
        harm = [f"below source-only after {', '.join(self.stages)}"] if self.stages else []
        harm += ["below real-only with the same labels"] if self.below_real_only else []
        text = "; ".join(harm) or "none"
        return text if self.below_real_only is not None else f"{text} (real-only not compared)"


def absolute_gap(real: float, synthetic: float, *, direction: Direction | str | None) -> float:
    """Real minus synthetic score of the SAME model, in the score's unit; negative when real is worse.

    For errors the sign is turned, so that negative means worse there too.
    """
    return orient(finite(real, "real"), direction) - orient(finite(synthetic, "synthetic"), direction)


def transfer_ratio(score: float, real_only: float, *, recipe: str, direction: Direction | str | None) -> TransferRatio:
    """Real score with transfer ÷ real score of the best real-only model at 100 %; errors the other way round.

    1 means as good as real-only, more is better. ``recipe`` says how the denominator was trained.
    """
    if not recipe.strip():
        raise UndefinedMetricError(
            "a transfer ratio without the recipe of its denominator", key="recipe", remedy="say how it was trained"
        )
    return TransferRatio(_ratio(score, real_only, direction, "transfer ratio"), float(real_only), recipe)


def best_real_only(scores: Mapping[str, float], *, direction: Direction | str | None) -> tuple[str, float]:
    """``(recipe, score)`` of the best real-only model: the denominator of `transfer_ratio`."""
    if not scores:
        raise UndefinedMetricError("no real-only score", remedy="run a real-only arm at 100 %")
    return max(scores.items(), key=lambda item: orient(finite(item[1], item[0]), direction))


def gap_closed(score: float, source_only: float, oracle: float, *, direction: Direction | str | None) -> float:
    """(score − source_only) ÷ (oracle − source_only): 0 is source-only, 1 the oracle; may lie outside.

    Undefined when the oracle is not better than source-only, for then there is no gap.
    """
    span = orient(finite(oracle, "oracle"), direction) - orient(finite(source_only, "source_only"), direction)
    if span <= 0:
        raise UndefinedMetricError(
            f"no gap to close: the oracle ({oracle}) is not better than source-only ({source_only})",
            remedy="check the oracle's training, or report the scores alone",
        )
    return (orient(finite(score, "score"), direction) - orient(source_only, direction)) / span


def sim_retention(real: float, synthetic: float, *, direction: Direction | str | None) -> float:
    """Real ÷ synthetic score of the same model (errors the other way round); 1 means nothing is lost.

    Some texts call this one "transfer ratio"; `transfer_ratio` is another number.
    """
    return _ratio(real, synthetic, direction, "sim retention")


def forgetting(before: float, after: float, *, direction: Direction | str | None) -> float:
    """Score on the earlier domain before minus after a stage; positive when something was forgotten."""
    return orient(finite(before, "before"), direction) - orient(finite(after, "after"), direction)


def negative_transfer(
    stages: Mapping[str, float],
    *,
    source_only: float,
    direction: Direction | str | None,
    real_only: float | None = None,
) -> NegativeTransfer:
    """Compare real scores after each stage, in order, with source-only, and the last one with real-only."""
    if not stages:
        raise UndefinedMetricError("no stage has a score", key="stages")
    scores = {name: finite(score, name) for name, score in stages.items()}
    reference = finite(source_only, "source_only")
    harmful = tuple(name for name, score in scores.items() if is_better(reference, score, direction))
    last = list(scores.values())[-1]
    below = None if real_only is None else is_better(finite(real_only, "real_only"), last, direction)
    return NegativeTransfer(harmful, below)


def _ratio(score: float, reference: float, direction: Direction | str | None, name: str) -> float:
    higher = Direction.parse(direction) is Direction.HIGHER
    top, bottom = (score, reference) if higher else (reference, score)
    if finite(top, name) < 0 or finite(bottom, name) <= 0:
        raise UndefinedMetricError(
            f"{name} needs non-negative scores and a divisor above 0, not {top} ÷ {bottom}",
            remedy="use a score on a ratio scale, or report the difference",
        )
    return finite(top / bottom, name)
