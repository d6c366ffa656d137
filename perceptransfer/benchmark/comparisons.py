"""Paired tests of all arms against one reference arm, fraction by fraction."""

from __future__ import annotations

from typing import Any

from perceptransfer.benchmark.measured import Draws, Grid, Place
from perceptransfer.benchmark.points import SHUFFLED
from perceptransfer.metrics.direction import orient
from perceptransfer.metrics.intervals import bootstrap_draws, interval_of
from perceptransfer.metrics.significance import SignFlip, holm, sign_flip_test


def compare(grid: Grid, reference: str) -> dict[Place, dict[str, Any]]:
    """Differences from ``reference`` at the same fraction (or at zero, where it has nothing else), paired by seed.

    Positive when the arm is better. Holm's correction runs over all arms compared at one fraction; the sanity
    row is none of them.
    """
    result: dict[Place, dict[str, Any]] = {}
    for fraction in sorted({fraction for _, fraction in grid.draws}):
        base = grid.source_only((reference, fraction), reference)
        if base is None:
            continue
        tests: dict[Place, SignFlip] = {}
        others = (place for place in grid.draws if place[1] == fraction and place[0] not in (reference, SHUFFLED))
        for place in sorted(others):
            differences = _differences(grid, place, base)
            if differences:
                tests[place] = sign_flip_test(list(differences.values()))
        corrected = holm({place[0]: test.p for place, test in tests.items() if test.p is not None})
        for place, test in tests.items():
            bounds = interval_of(_draws(grid, place, base), seeds=test.seeds)
            result[place] = {
                "value": test.mean,
                "low": bounds.low,
                "high": bounds.high,
                "seeds": test.seeds,
                "testable": test.testable,
                "p": test.p,
                "p_holm": corrected.get(place[0]),
                "smallest_p": test.smallest_p,
                "reference_fraction": base[1],
            }
    return result


def _differences(grid: Grid, place: Place, base: Place) -> dict[int, float]:
    """Oriented difference of each seed that both cells finished."""
    other = {row.seed: row.score for row in grid.cells[base].rows if row.score is not None}
    sign = orient(1.0, grid.direction)
    return {
        row.seed: sign * (row.score - other[row.seed])
        for row in grid.cells[place].rows
        if row.score is not None and row.seed in other
    }


def _draws(grid: Grid, place: Place, base: Place) -> Draws:
    sign, arm, other = orient(1.0, grid.direction), grid.cells[place], grid.cells[base]
    if arm.seeds == other.seeds:
        return sign * (grid.draws[place] - grid.draws[base])
    common = sorted(set(arm.seeds) & set(other.seeds))
    drawn = bootstrap_draws({"arm": arm.counts(common), "base": other.counts(common)})
    return sign * (drawn["arm"] - drawn["base"])
