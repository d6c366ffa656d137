"""Rows gathered into cells: the seeds of one arm at one fraction, resampled together with all other cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.benchmark.rows import Row
from perceptransfer.core.errors import DataError
from perceptransfer.metrics.dense import Tally
from perceptransfer.metrics.estimate import Estimate
from perceptransfer.metrics.intervals import GroupCounts, bootstrap_draws, group_counts, interval_of, seed_scores

Draws = NDArray[np.float64]
Place = tuple[str, float]
"""Arm and fraction."""


@dataclass(frozen=True)
class Cell:
    """One arm at one fraction: ``rows`` of the finished seeds and ``failures`` of the others, sorted by seed."""

    arm: str
    fraction: float
    rows: tuple[Row, ...]
    failures: tuple[Row, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a score."""
        return tuple(row.seed for row in self.rows)

    def mean(self, field: Callable[[Row], float | None]) -> float | None:
        """Mean over the seeds that have the field, ``None`` when none has."""
        values = [value for value in map(field, self.rows) if value is not None]
        return math.fsum(values) / len(values) if values else None

    def counts(self, seeds: Iterable[int] | None = None) -> GroupCounts:
        """What the bootstrap resamples: test groups where rows tell which items were right, else seeds alone."""
        kept = [row for row in self.rows if seeds is None or row.seed in set(seeds)]
        alone = seed_scores([float(row.score or 0.0) for row in kept])
        if all(row.hits for row in kept):
            return self._tallies(kept, alone)
        if any(row.correct is None for row in kept):
            return alone
        first = kept[0]
        self._same_test(kept)
        items = np.array([np.frombuffer((row.correct or "").encode(), dtype=np.uint8) - ord("0") for row in kept])
        classes = first.labels if first.metric == "balanced_accuracy" else None
        counts = group_counts(items, groups=_names(first.groups), classes=classes)
        # A metric that is no mean over these items cannot be resampled from them.
        return counts if np.allclose(counts.scores(), alone.scores(), atol=1e-6) else alone

    def _tallies(self, rows: Sequence[Row], alone: GroupCounts) -> GroupCounts:
        self._same_test(rows)
        parts = [Tally(np.array(row.hits), np.array(row.totals)).counts(_names(row.groups)) for row in rows]
        hits, totals = (np.concatenate([getattr(part, name) for part in parts]) for name in ("hits", "totals"))
        counts = GroupCounts(hits, totals, parts[0].items)
        return counts if np.allclose(counts.scores(), alone.scores(), atol=1e-6) else alone

    def _same_test(self, rows: Sequence[Row]) -> None:
        if any(_test_set(row) != _test_set(rows[0]) for row in rows):
            raise DataError(
                "seeds were trained or tested on different data, or by different pipelines",
                where=f"arm {self.arm}, fraction {self.fraction:g}",
                remedy="write the results of each into a folder of its own",
            )


def _test_set(row: Row) -> tuple[Any, ...]:
    return row.setup, row.n_test, len(row.correct or ""), len(row.hits or []), row.groups


def _names(groups: Sequence[str | int] | None) -> list[str] | None:
    return None if groups is None else [str(group) for group in groups]


@dataclass(frozen=True)
class Grid:
    """One task's cells with the draws of their scores; ``synthetic`` are draws of the synthetic hold-out scores."""

    metric: str
    direction: str
    cells: Mapping[Place, Cell]
    draws: Mapping[Place, Draws]
    synthetic: Mapping[Place, Draws]

    def score(self, place: Place) -> float | None:
        """Mean score over seeds, ``None`` where the cell is missing or failed with every seed."""
        return self.cells[place].mean(lambda row: row.score) if place in self.cells else None

    def labels(self, place: Place) -> float:
        """Real labels spent, mean over seeds, failed ones included."""
        cell = self.cells[place]
        rows = cell.rows + cell.failures
        return sum(row.n_labels for row in rows) / len(rows)

    def recipe(self, place: Place) -> str:
        """How a cell was trained, in words."""
        seeds = len(self.cells[place].rows)
        return f"{place[0]} at {100 * place[1]:g} % ({self.labels(place):g} real labels, {seeds} seeds)"

    def source_only(self, place: Place, arm: str) -> Place | None:
        """The source-only cell beside ``place``: at its fraction when there is one, else without labels."""
        return next((at for at in ((arm, place[1]), (arm, 0.0)) if at in self.draws), None)

    def number(self, estimate: Estimate, draws: Draws | None, place: Place) -> dict[str, Any]:
        """Plain dict of a number, with bounds from its draws unless those do not vary because there is one seed."""
        seeds = len(self.cells[place].rows)
        plain: dict[str, Any] = {"value": estimate.value, "seeds": seeds}
        plain |= {key: getattr(estimate, key) for key in ("reason", "above", "at_most") if getattr(estimate, key)}
        if estimate.value is None or draws is None or not np.isfinite(draws).any() or (seeds < 2 and not np.ptp(draws)):
            return plain
        bounds = interval_of(draws, seeds=seeds)
        plain |= {"low": bounds.low, "high": bounds.high}
        return plain if bounds.defined == 1 else plain | {"defined": bounds.defined}


def missing(reason: str) -> dict[str, Any]:
    """A number that has no value."""
    return {"value": None, "reason": reason, "seeds": 0}


def gather(rows: Iterable[Row]) -> dict[str, Grid]:
    """One grid a task, whatever the order of the rows.

    A cell that failed and was then repeated counts as repeated.

    Raises:
        DataError: one cell has two different results, or a task has two metrics or directions.
    """
    best: dict[tuple[str, str, float, int], Row] = {}
    for row in sorted(rows, key=lambda row: (row.cell, row.error or "")):
        known = best.setdefault(row.cell, row)
        if known.error is None and row.error is None and (known.score, known.correct) != (row.score, row.correct):
            raise DataError(
                f"two different results for arm {row.arm}, fraction {row.fraction:g}, seed {row.seed}",
                where=f"task {row.task}",
                remedy="delete one of the two lines of results.jsonl",
            )
        if known.error is not None:
            best[row.cell] = row if row.error is None else known
    tasks: dict[str, list[Row]] = {}
    for key in sorted(best):
        tasks.setdefault(key[0], []).append(best[key])
    return {task: _grid(task, kept) for task, kept in tasks.items()}


def _grid(task: str, rows: list[Row]) -> Grid:
    kinds = sorted({(row.metric, row.direction) for row in rows})
    if len(kinds) > 1:
        raise DataError(f"task {task} has rows of several metrics: {kinds}", remedy="report them in separate folders")
    places: dict[Place, list[Row]] = {}
    for row in rows:
        places.setdefault((row.arm, row.fraction), []).append(row)
    cells = {
        place: Cell(
            *place,
            tuple(row for row in kept if row.error is None),
            tuple(row for row in kept if row.error is not None),
        )
        for place, kept in places.items()
    }
    counts = {place: cell.counts() for place, cell in cells.items() if cell.rows}
    held_out = {
        place: seed_scores([row.score_synthetic for row in cell.rows if row.score_synthetic is not None])
        for place, cell in cells.items()
        if cell.rows and all(row.score_synthetic is not None for row in cell.rows)
    }
    return Grid(*kinds[0], cells, _draws(counts, cells), _draws(held_out, cells))


def _draws(counts: Mapping[Place, GroupCounts], cells: Mapping[Place, Cell]) -> dict[Place, Draws]:
    """Draws of all cells, paired by seed also where a seed failed in some of them."""
    if not counts:
        return {}
    names = {f"{arm}@{fraction!r}": (arm, fraction) for arm, fraction in counts}
    seeds = {name: cells[place].seeds for name, place in names.items()}
    drawn = bootstrap_draws({name: counts[place] for name, place in names.items()}, seeds=seeds)
    return {place: drawn[name] for name, place in names.items()}
