"""Finished benchmarks beside each other, paired by seed and test group: which renders, or which colours, train better.

``python benchmarks/real_fraction/compare_runs.py FIRST OTHER ...`` reads the ``results.jsonl`` of these folders and
prints, for every task, arm and fraction that the first and another have, both scores and their difference (positive
where the other is better) with a 95 % interval and the p of a sign-flip test, after Holm over what is compared at one
fraction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perceptransfer.benchmark.measured import Cell, Grid, Place, gather
from perceptransfer.benchmark.rows import read_rows
from perceptransfer.benchmark.text import interval, number, share
from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import Comparison, compare_arms, holm

HEAD = "| arm | real labels | {first} | run | score | difference [95 %] | p |\n|:--|--:|--:|:--|--:|--:|--:|\n"


def table(runs: dict[str, dict[str, Grid]], task: str) -> str:
    """Markdown of one task; the first run is the reference, and only seeds that both have count.

    Raises:
        UndefinedMetricError: no seed in common, or different test sets.
    """
    (first, base), *others = ((name, grids[task]) for name, grids in runs.items() if task in grids)
    found: dict[tuple[Place, str], tuple[list[float], Comparison]] = {}
    for place, cell in sorted(base.cells.items()):
        for name, grid in others:
            if place in grid.cells and _keys(grid.cells[place]) != _keys(cell):
                found[place, name] = _compared(cell, grid.cells[place], base.direction)
    tested = {key: row.test.p for key, (_, row) in found.items() if row.test.p is not None}
    corrected = {
        name: p
        for fraction in {fraction for (_, fraction), _ in tested}
        for name, p in holm({str(key): p for key, p in tested.items() if key[0][1] == fraction}).items()
    }
    text = HEAD.format(first=first)
    for ((arm, fraction), name), (scores, row) in found.items():
        p = corrected.get(str(((arm, fraction), name)))
        bounds = {"low": row.interval.low, "high": row.interval.high}
        difference = f"{number(row.difference, base.metric, sign=True)} {interval(bounds, base.metric, sign=True)}"
        one, two = (number(score, base.metric) for score in scores)
        cells = [arm, share(fraction), one, name, two, difference.rstrip(), "–" if p is None else f"{p:.3f}"]
        text += "| " + " | ".join(cells) + " |\n"
    return f"## {task}: {base.metric}\n\n{text}"


def _compared(first: Cell, other: Cell, direction: str) -> tuple[list[float], Comparison]:
    """Both mean scores, and the other's minus the first's."""
    seeds = sorted(set(first.seeds) & set(other.seeds))
    if not seeds:
        raise UndefinedMetricError(f"arm {first.arm}: no seed in common", key="seeds", remedy="run equal seeds")
    one, two = first.counts(seeds), other.counts(seeds)
    comparison = compare_arms({"other": two}, one, direction=direction)["other"]
    return [float(counts.scores().mean()) for counts in (one, two)], comparison


def _keys(cell: Cell) -> set[tuple[str, ...]]:
    """Checkpoints of a cell: where two runs share them there is nothing to compare."""
    return {tuple(row.keys) for row in cell.rows}


def main() -> None:
    """Read the folders, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, metavar="FIRST")
    parser.add_argument("others", nargs="+", type=Path, metavar="OTHER")
    words = parser.parse_args()
    folders: list[Path] = [words.first, *words.others]
    if len({folder.name for folder in folders}) < len(folders):
        parser.error("rows are named after the folders: their last names must differ")
    runs = {folder.name: gather(read_rows(folder / "results.jsonl")) for folder in folders}
    print("\n".join(table(runs, task) for task in runs[words.first.name]))


if __name__ == "__main__":
    main()
