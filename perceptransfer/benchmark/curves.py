"""The numbers of one arm over all fractions: labels saved, labels needed, area under the curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perceptransfer.benchmark.measured import Draws, Grid, Place, missing
from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.direction import Direction
from perceptransfer.metrics.efficiency import area_under_fraction_curve, common_range, label_savings_at, n_to_target
from perceptransfer.metrics.estimate import Estimate, attempt

SAVINGS_AT = (0.01, 0.1)
SHARES_OF_FULL = (0.9, 0.95, 0.98)
# Crossings of a curve are searched draw by draw, which costs too much for all of the protocol's 10 000 draws.
CURVE_DRAWS = 1_000


def curve(grid: Grid, arm: str) -> list[Place]:
    """Places of an arm's finished cells by rising labels, one for each number of labels (the smallest fraction)."""
    by_labels: dict[float, Place] = {}
    for place in sorted(place for place in grid.draws if place[0] == arm):
        by_labels.setdefault(grid.labels(place), place)
    return [by_labels[labels] for labels in sorted(by_labels)]


def n_to_full(grid: Grid, arm: str, oracle: Place | None) -> dict[str, Any]:
    """Real labels with which the arm reaches 90, 95 and 98 % of the best real-only score at all labels."""
    full, places = None if oracle is None else grid.score(oracle), curve(grid, arm)
    if oracle is None or full is None or not places:
        return {f"{part:g}": missing("needs the arm's curve and a real-only score at 100 %") for part in SHARES_OF_FULL}
    n, scores = _labels(grid, places), [grid.score(place) or 0.0 for place in places]
    higher = Direction.parse(grid.direction) is Direction.HIGHER
    result = {}
    for part in SHARES_OF_FULL:
        factor = part if higher else 1 / part
        value = n_to_target(n, scores, factor * full, direction=grid.direction)
        drawn = [
            n_to_target(n, list(row), factor * goal, direction=grid.direction)
            for row, goal in zip(_drawn(grid, places), grid.draws[oracle][:CURVE_DRAWS], strict=True)
        ]
        result[f"{part:g}"] = grid.number(value, _values(drawn), places[0])
    return result


def label_savings(grid: Grid, arm: str, real_only: Sequence[str]) -> dict[str, Any]:
    """How many times more labels the first real-only arm that was run needs for the arm's score at 1 and 10 %."""
    reference: list[Place] = next(filter(None, (curve(grid, name) for name in real_only)), [])
    n, scores = _labels(grid, reference), [grid.score(place) or 0.0 for place in reference]
    result = {}
    for fraction in SAVINGS_AT:
        place = (arm, fraction)
        reached = grid.score(place)
        if reached is None or not reference:
            result[f"{fraction:g}"] = missing(f"needs this arm and a real-only curve at {fraction:g}")
            continue
        spent = grid.labels(place)
        value = label_savings_at(n, scores, spent=spent, reached=reached, direction=grid.direction)
        drawn = [
            label_savings_at(n, list(row), spent=spent, reached=goal, direction=grid.direction)
            for row, goal in zip(_drawn(grid, reference), grid.draws[place][:CURVE_DRAWS], strict=True)
        ]
        result[f"{fraction:g}"] = grid.number(value, _values(drawn), place) | {"reference": reference[0][0]}
    return result


def shared_range(grid: Grid) -> list[float] | None:
    """Smallest and largest number of labels that all arms with a curve cover."""
    curves = [_labels(grid, curve(grid, arm)) for arm in sorted({arm for arm, _ in grid.draws})]
    try:
        return list(common_range(*(n for n in curves if len([value for value in n if value > 0]) > 1)))
    except UndefinedMetricError:
        return None


def area(grid: Grid, arm: str, between: Sequence[float] | None) -> dict[str, Any]:
    """Mean score over the logarithm of the number of labels, over the range that all curves share."""
    places = curve(grid, arm)
    n = _labels(grid, places)
    if between is None or len([value for value in n if value > 0]) < 2:
        return missing("needs two positive numbers of labels in common with the other arms")
    span = between[0], between[1]
    value = attempt(area_under_fraction_curve, n, [grid.score(place) or 0.0 for place in places], between=span)
    if value.value is None:
        return grid.number(value, None, places[0])
    # The area is linear in the scores, so that the areas of unit curves are the weights of the draws.
    weights = [area_under_fraction_curve(n, list(unit), between=span) for unit in np.eye(len(n))]
    draws = np.stack([grid.draws[place] for place in places], axis=1) @ np.array(weights)
    return grid.number(value, draws, places[0])


def _labels(grid: Grid, places: Sequence[Place]) -> list[float]:
    return [grid.labels(place) for place in places]


def _drawn(grid: Grid, places: Sequence[Place]) -> Draws:
    return np.stack([grid.draws[place][:CURVE_DRAWS] for place in places], axis=1)


def _values(estimates: Sequence[Estimate]) -> Draws:
    return np.array([np.nan if item.value is None else item.value for item in estimates])
