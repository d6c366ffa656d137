"""What learning tasks together costs or gives each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.direction import Direction
from perceptransfer.metrics.intervals import DRAWS, GroupCounts
from perceptransfer.metrics.significance import Comparison, compare_arms, holm


def interference(
    multi: Mapping[str, GroupCounts],
    single: Mapping[str, GroupCounts],
    directions: Mapping[str, Direction | str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Each task's score learnt with the others minus its score learnt alone, positive where together is better.

    Both are given by task name: counts over training seeds in one order and over one test set (`seed_scores` where
    only a score a seed is known). The comparison means something at equal budget only: the same images, batch size
    and optimiser steps for the one multi-task model as for each single-task model. Seeds, and test groups where known,
    are paired; p is corrected (Holm) over the tasks. The interval of one seed without test groups has no width and says
    nothing.

    Raises:
        UndefinedMetricError: other tasks here than there, a task without direction, or arms that cannot be paired.
    """
    if not multi or set(multi) != set(single) or set(multi) - set(directions):
        raise UndefinedMetricError(
            f"together {sorted(multi)}, alone {sorted(single)}, with a direction {sorted(directions)}",
            key="tasks",
            remedy="give both scores and the direction of every task",
        )
    found = {
        name: compare_arms({name: multi[name]}, single[name], direction=directions[name], draws=draws, seed=seed)[name]
        for name in multi
    }
    corrected = holm({name: row.test.p for name, row in found.items() if row.test.p is not None})
    return {name: replace(row, test=replace(row.test, p_holm=corrected.get(name))) for name, row in found.items()}
