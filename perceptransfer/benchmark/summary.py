"""The protocol's summary row of each arm: what survives on real images, at which price in labels, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perceptransfer.benchmark.comparisons import compare
from perceptransfer.benchmark.curves import area, label_savings, n_to_full, shared_range
from perceptransfer.benchmark.measured import Grid, Place, gather, missing
from perceptransfer.benchmark.points import ALIGNED, REAL_ONLY, SHUFFLED, SOURCE_ONLY, point, real_only
from perceptransfer.benchmark.rows import Row
from perceptransfer.metrics.estimate import Estimate
from perceptransfer.metrics.transfer import best_real_only

FORMAT = 1


def summarise(rows: Iterable[Row], *, minutes_per_label: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Summary of every task: ``{"format", "tasks": {name: {metric, direction, oracle, arms: {arm: ...}}}}``.

    A number is ``{"value", "low", "high", "seeds"}``, or has ``value`` ``None`` with a ``reason`` and, when censored,
    ``above`` or ``at_most``. Each arm has ``points`` (one a fraction: score, gap, ratio, gap closed, worst class, ECE,
    forgetting, negative transfer, tests against source-only, real-only and alignment alone), ``label_savings``,
    ``n_to`` and ``area``.
    Equal rows give equal summaries in whatever order and with whatever timings they come.

    Raises:
        DataError: a cell has two different results, or a task has two metrics.
    """
    minutes = minutes_per_label or {}
    return {
        "format": FORMAT,
        "tasks": {task: _task(grid, minutes.get(task)) for task, grid in gather(rows).items()},
    }


def _task(grid: Grid, minutes: float | None) -> dict[str, Any]:
    finished = [row for cell in grid.cells.values() for row in cell.rows]
    failed = sum(len(cell.failures) for cell in grid.cells.values())
    oracle, between = _oracle(grid), shared_range(grid)
    tests = {reference: compare(grid, reference) for reference in (SOURCE_ONLY, real_only(grid), ALIGNED)}
    arms: dict[str, Any] = {}
    for arm in sorted({arm for arm, _ in grid.cells}):
        places = [place for place in sorted(grid.cells) if place[0] == arm]
        arms[arm] = {
            "points": [
                point(grid, place, oracle, minutes)
                | {"tests": {reference: found.get(place) for reference, found in tests.items()}}
                for place in places
            ],
            "label_savings": {} if arm in (*REAL_ONLY, SHUFFLED) else label_savings(grid, arm, REAL_ONLY),
            "n_to": n_to_full(grid, arm, oracle),
            "area": area(grid, arm, between),
        }
    return {
        "metric": grid.metric,
        "direction": grid.direction,
        "n_test": max((row.n_test for row in finished if row.n_test is not None), default=None),
        "seeds": sorted({row.seed for row in finished}),
        "fractions": sorted({fraction for _, fraction in grid.cells}),
        "cells": len(finished) + failed,
        "failed": failed,
        "oracle": _oracle_row(grid, oracle),
        "area_between": between,
        "arms": arms,
    }


def _oracle(grid: Grid) -> Place | None:
    scores = {arm: score for arm in REAL_ONLY if (score := grid.score((arm, 1.0))) is not None}
    return (best_real_only(scores, direction=grid.direction)[0], 1.0) if scores else None


def _oracle_row(grid: Grid, oracle: Place | None) -> dict[str, Any]:
    if oracle is None:
        reason = f"no finished real-only cell at 100 % (arms {', '.join(REAL_ONLY)})"
        return {"arm": None, "recipe": None, "labels": None, "score": missing(reason)}
    return {
        "arm": oracle[0],
        "recipe": grid.recipe(oracle),
        "labels": grid.labels(oracle),
        "score": grid.number(Estimate(grid.score(oracle)), grid.draws[oracle], oracle),
    }
