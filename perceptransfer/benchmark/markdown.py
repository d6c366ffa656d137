"""``table.md``: headline, tables, failures and how to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perceptransfer.benchmark import text
from perceptransfer.benchmark.description import RunDescription
from perceptransfer.benchmark.headline import headline
from perceptransfer.benchmark.points import REAL_ONLY
from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.table import (
    BELOW_REAL,
    BELOW_SOURCE,
    FAILED,
    has_ece,
    references,
    score_table,
    summary_table,
    test_table,
)
from perceptransfer.metrics.significance import MIN_SEEDS


def failures(rows: Iterable[Row]) -> list[str]:
    """One line for each arm, fraction and message of failed cells, with the seeds."""
    seeds: dict[tuple[str, float, str], list[int]] = {}
    for row in sorted(rows, key=lambda row: row.cell):
        if row.error is not None:
            seeds.setdefault((row.arm, row.fraction, " ".join(row.error.split())), []).append(row.seed)
    return [
        f"{arm}, {text.share(fraction)}, seed{'s' * (len(which) > 1)} {', '.join(map(str, which))}: {error}"
        for (arm, fraction, error), which in seeds.items()
    ]


def legend(task: Mapping[str, Any]) -> list[str]:
    """How to read the tables, one sentence an item."""
    oracle = task["oracle"]["recipe"] or "missing: no real-only run at 100 %"
    return [
        "Columns: share of the real labels (their number, validation included). Score: mean over seeds "
        "[95 % interval, bootstrap over seeds and test groups].",
        f"{BELOW_SOURCE} below source-only (D), {BELOW_REAL} below real-only (A) with the same labels: negative "
        f"transfer. {FAILED} failed cells. An empty cell was not run.",
        f"Ratio: score \u00f7 best real-only score at 100 %, here {oracle}; candidates {', '.join(REAL_ONLY)}."
        + " Lower scores are better: ratios are turned over and differences change sign, so that more is better."
        * (task["direction"] == "lower"),
        "Gap: real \u2212 synthetic score of the same model. Gap closed: 0 is source-only (D), 1 the best real-only.",
        "Labels saved: how many times more labels real-only needs for the same score. n to 90/95/98 %: real labels "
        "needed for that share of the best real-only score; > and \u2264 bound values outside the measured range.",
        "Area: mean score over log labels. Forgetting: synthetic hold-out score of D \u2212 of the arm."
        + " ECE: calibration error." * has_ece(task),
        f"p: two-sided sign-flip test over paired seeds, after Holm over the arms of a column. {_testable(task)}",
    ]


def _testable(task: Mapping[str, Any]) -> str:
    seeds = len(task["seeds"])
    if seeds < MIN_SEEDS:
        return f"With {seeds} seeds nothing is testable: at least {MIN_SEEDS} are needed."
    return f"With {seeds} seeds the smallest possible p is {2 / 2**seeds:.2g} before Holm."


def write_markdown(title: str, tasks: Mapping[str, Any], rows: list[Row], run: RunDescription) -> str:
    """``table.md`` of a whole run."""
    parts = [f"# {title}\n"]
    for name, task in tasks.items():
        own = [row for row in rows if row.task == name]
        parts += [f"## {name}: {task['metric'].replace('_', ' ')}, {task['direction']} is better\n"]
        parts += [sentence + "\n" for sentence in headline(task)]
        parts += [score_table(task, run.arms).to_markdown(), "### Summary\n"]
        parts += [summary_table(task, own, run.minutes_per_label.get(name)).to_markdown()]
        for reference in references(task):
            table = test_table(task, reference)
            if table.rows:
                parts += [f"### Difference from {reference}, paired by seed\n", table.to_markdown()]
        errors = [f"- {failure}" for failure in failures(own)]
        parts += ["### Failed cells\n", "\n".join(errors) + "\n"] if errors else []
        parts += ["### Legend\n", "\n".join(f"- {line}" for line in legend(task)) + "\n"]
    return "\n".join([*parts, f"Made by\n\n```\n{run.command}\n```\n"])
