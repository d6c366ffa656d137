"""The numbers of one arm at one fraction of real labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perceptransfer.benchmark.measured import Draws, Grid, Place, missing
from perceptransfer.metrics.direction import Direction, orient
from perceptransfer.metrics.estimate import Estimate, attempt
from perceptransfer.metrics.intervals import bootstrap_draws, seed_scores
from perceptransfer.metrics.transfer import absolute_gap, forgetting, gap_closed, negative_transfer, transfer_ratio

REAL_ONLY = ("A", "A+", "B", "C")
"""Arms without synthetic images: the best of them at all labels is the ratio's denominator."""
SOURCE_ONLY = "D"
ALIGNED = "G"
"""The whole pipeline without self-training: what self-training is worth is the difference from it."""
SHUFFLED = "S"
"""Sanity row: it learns nothing that is true, so it must not beat source-only."""
_MEASURED = ("score", "gap", "ratio", "gap_closed", "worst_class", "ece", "forgetting")


def real_only(grid: Grid) -> str:
    """The real-only arm that others are tested against: the first that was run."""
    run = {arm for arm, _ in grid.cells}
    return next((arm for arm in REAL_ONLY if arm in run), REAL_ONLY[0])


def point(grid: Grid, place: Place, oracle: Place | None, minutes: float | None) -> dict[str, Any]:
    """One arm at one fraction; ``oracle`` is the best real-only cell, ``minutes`` the time one label takes."""
    cell, labels, score = grid.cells[place], grid.labels(place), grid.score(place)
    counts = {
        "fraction": cell.fraction,
        "labels": labels,
        "labels_validation": cell.mean(lambda row: row.n_val),
        "label_minutes": None if minutes is None else minutes * labels,
        "seeds": list(cell.seeds),
        "failed": len(cell.failures),
    }
    if score is None:
        failed = missing(f"all {len(cell.failures)} seeds failed")
        return counts | dict.fromkeys(_MEASURED, failed) | {"per_class": {}, "negative_transfer": None}
    per_class = {
        name: cell.mean(lambda row, name=name: row.per_class.get(name))  # type: ignore[misc]  # default binds the name
        for name in cell.rows[0].per_class
    }
    return counts | {
        "score": grid.number(Estimate(score), grid.draws[place], place),
        "gap": _gap(grid, place, score),
        "ratio": _ratio(grid, place, score, oracle),
        "gap_closed": _closed(grid, place, score, oracle),
        "worst_class": _worst(grid, place, per_class),
        "ece": _over_seeds(grid, place, [row.ece for row in cell.rows]),
        "forgetting": _forgetting(grid, place),
        "per_class": per_class,
        "negative_transfer": _harm(grid, place, score),
    }


def _gap(grid: Grid, place: Place, score: float) -> dict[str, Any]:
    held_out = grid.cells[place].mean(lambda row: row.score_synthetic)
    if held_out is None or place not in grid.synthetic:
        return missing("no held-out synthetic score of this model")
    sign = orient(1.0, grid.direction)
    value = attempt(absolute_gap, score, held_out, direction=grid.direction)
    return grid.number(value, sign * (grid.draws[place] - grid.synthetic[place]), place)


def _ratio(grid: Grid, place: Place, score: float, oracle: Place | None) -> dict[str, Any]:
    if oracle is None:
        return missing("no real-only score at 100 %")
    best, recipe = grid.score(oracle) or 0.0, grid.recipe(oracle)
    value = attempt(lambda: transfer_ratio(score, best, recipe=recipe, direction=grid.direction).value)
    pair = grid.draws[place], grid.draws[oracle]
    top, bottom = pair if Direction.parse(grid.direction) is Direction.HIGHER else pair[::-1]
    return grid.number(value, _divide(top, bottom), place)


def _closed(grid: Grid, place: Place, score: float, oracle: Place | None) -> dict[str, Any]:
    source = grid.source_only(place, SOURCE_ONLY)
    if oracle is None or source is None:
        return missing("needs source-only (D) and a real-only score at 100 %")
    from_score, to_score = grid.score(source) or 0.0, grid.score(oracle) or 0.0
    value = attempt(gap_closed, score, from_score, to_score, direction=grid.direction)
    span = grid.draws[oracle] - grid.draws[source]
    # A draw in which the oracle is not better has no gap to close, as in `gap_closed` itself.
    span = np.where(orient(1.0, grid.direction) * span > 0, span, np.nan)
    return grid.number(value, _divide(grid.draws[place] - grid.draws[source], span), place)


def _forgetting(grid: Grid, place: Place) -> dict[str, Any]:
    source = grid.source_only(place, SOURCE_ONLY)
    if place[0] in (*REAL_ONLY, SHUFFLED):
        return missing("was never trained on synthetic images")
    if source is None or source not in grid.synthetic or place not in grid.synthetic:
        return missing("needs held-out synthetic scores of this arm and of source-only (D)")
    before, after = (grid.cells[at].mean(lambda row: row.score_synthetic) or 0.0 for at in (source, place))
    value = attempt(forgetting, before, after, direction=grid.direction)
    sign = orient(1.0, grid.direction)
    return grid.number(value, sign * (grid.synthetic[source] - grid.synthetic[place]), place)


def _worst(grid: Grid, place: Place, per_class: dict[str, float | None]) -> dict[str, Any]:
    measured = {name: value for name, value in per_class.items() if value is not None}
    if not measured:
        return missing("no per-class scores")
    name = min(measured, key=lambda key: orient(measured[key], grid.direction))
    return {"class": name} | _over_seeds(grid, place, [row.per_class.get(name) for row in grid.cells[place].rows])


def _over_seeds(grid: Grid, place: Place, values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if not known:
        return missing("not measured")
    counts = seed_scores(known)
    return grid.number(Estimate(counts.score()), bootstrap_draws({"": counts})[""], place)


def _harm(grid: Grid, place: Place, score: float) -> dict[str, bool | None] | None:
    """Flags of an arm that uses synthetic images beyond plain source-only training; ``None`` for the others."""
    source = grid.source_only(place, SOURCE_ONLY)
    if place[0] in (*REAL_ONLY, SOURCE_ONLY, SHUFFLED):
        return None
    base, real = (None if at is None else grid.score(at) for at in (source, (real_only(grid), place[1])))
    harm = negative_transfer(
        {place[0]: score},
        source_only=score if base is None else base,
        real_only=real,
        direction=grid.direction,
    )
    below = None if base is None else bool(harm.stages)
    return {"below_source_only": below, "below_real_only": harm.below_real_only}


def _divide(top: Draws, bottom: Draws) -> Draws:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(top / bottom, dtype=np.float64)
