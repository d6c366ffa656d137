"""The numbers of a cross-task matrix: scores, paired differences from the baselines, and what became of the claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perceptransfer.benchmark.comparisons import compare
from perceptransfer.benchmark.cross_task import ARROW, SCRATCH
from perceptransfer.benchmark.measured import Grid, gather, missing
from perceptransfer.benchmark.rows import Row
from perceptransfer.metrics.estimate import Estimate
from perceptransfer.metrics.significance import holm

FORMAT, LEVEL = 1, 0.05
CLASS = "class"
"""What the task Classification is called unless told otherwise: pretraining as it is usually done."""


def references(target: str, sources: Iterable[str]) -> list[str]:
    """Rows that the others of a column are compared with: from scratch, single-task, and classification."""
    known = set(sources)
    return [name for name in dict.fromkeys((SCRATCH, target, CLASS)) if name in known]


def summarise_matrix(rows: Sequence[Row], claims: Sequence[str] = ()) -> dict[str, Any]:
    """``{"format", "targets": {j: {metric, direction, "fractions": {f: {"labels", "sources": {i: ...}}}}}, "claims"}``.

    Each source has ``score`` and ``against``: a paired test for each of `references`, positive when the source is
    better. Holm's correction runs over the sources of a column at one fraction. Equal rows give equal summaries.

    Raises:
        DataError: a cell has two different results, or a task has two metrics.
    """
    grids = gather(rows)
    targets = {name: _target(name, grid) for name, grid in grids.items()}
    return {"format": FORMAT, "targets": targets, "claims": [line for arm in claims for line in _claim(arm, targets)]}


def _target(name: str, grid: Grid) -> dict[str, Any]:
    arms = list(dict.fromkeys(arm for arm, _ in grid.cells))
    sources = sorted((arm.partition(ARROW)[0] for arm in arms), key=lambda source: (source != SCRATCH, source))
    tests = {other: compare(grid, f"{other}{ARROW}{name}") for other in references(name, sources)}
    found: dict[str, Any] = {}
    for fraction in sorted({fraction for _, fraction in grid.cells}):
        places = {source: (f"{source}{ARROW}{name}", fraction) for source in sources}
        places = {source: place for source, place in places.items() if place in grid.cells}
        found[f"{fraction:g}"] = {
            "labels": max(grid.labels(place) for place in places.values()),
            "sources": {
                source: {
                    "score": _score(grid, place),
                    "seeds": list(grid.cells[place].seeds),
                    "failed": len(grid.cells[place].failures),
                    "against": {other: test[place] for other, test in tests.items() if place in test},
                }
                for source, place in places.items()
            },
        }
    finished = [row for cell in grid.cells.values() for row in cell.rows]
    return {
        "metric": grid.metric,
        "direction": grid.direction,
        "n_test": max((row.n_test for row in finished if row.n_test is not None), default=None),
        "seeds": sorted({row.seed for row in finished}),
        "sources": sources,
        "fractions": found,
    }


def _score(grid: Grid, place: tuple[str, float]) -> dict[str, Any]:
    score = grid.score(place)
    if score is None:
        return missing(f"all {len(grid.cells[place].failures)} seeds failed")
    return grid.number(Estimate(score), grid.draws[place], place)


def _claim(arm: str, targets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each fraction and each reference of a claimed arm that had no more labels of the target than it.

    The claim is one, its tests are several: Holm's correction runs over them.
    """
    source, _, target = arm.partition(ARROW)
    column = targets.get(target, {"fractions": {}})
    found = [
        {
            "arm": arm,
            "against": other,
            "fraction": float(fraction),
            "labels": cells["labels"],
            "metric": column["metric"],
            "test": test,
        }
        for fraction, cells in column["fractions"].items()
        for other, test in cells["sources"].get(source, {"against": {}})["against"].items()
        if other != target
    ]
    tests = {str(number): claim["test"]["p"] for number, claim in enumerate(found)}
    corrected = holm({number: p for number, p in tests.items() if p is not None})
    for number, claim in enumerate(found):
        claim["p"] = corrected.get(str(number))
        claim["verdict"] = verdict(claim["test"]["value"], claim["p"])
    return found


def verdict(difference: float, p: float | None) -> str:
    """``confirmed``, ``not confirmed``, ``contradicted`` or ``not testable``."""
    if p is None:
        return "not testable"
    if p >= LEVEL:
        return "not confirmed"
    return "confirmed" if difference > 0 else "contradicted"
