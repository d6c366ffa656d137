"""Tables of `compare.py`: interference by task, cost by model, conflict by pair of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from perceptransfer.metrics import Comparison, GroupCounts, interference, seed_scores

Row = dict[str, Any]


def by_model(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each model in the order of seeds, over the seeds that all models have."""
    seeds = [{row["seed"] for row in rows if row["arm"] == arm} for arm in {row["arm"] for row in rows}]
    found: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if row["seed"] in set.intersection(*seeds)), key=lambda row: row["seed"]):
        found.setdefault(row["arm"], []).append(row)
    return found


def parted(by_arm: dict[str, list[Row]]) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Models of all tasks by their weighting, and models of one task by its name."""
    parts: dict[str, dict[str, list[Row]]] = {"together": {}, "alone": {}}
    for arm, found in by_arm.items():
        kind, _, name = arm.partition(": ")
        parts[kind][name] = found
    return parts["together"], parts["alone"]


def compared(together: list[Row], alone: dict[str, list[Row]], on: str) -> dict[str, Comparison]:
    """Interference of every task on ``synthetic`` or ``real`` images."""
    single = {task: _counts(found, task, on) for task, found in alone.items()}
    multi = {task: _counts(together, task, on) for task in alone}
    return interference(multi, single, {task: found[0]["scores"][task]["direction"] for task, found in alone.items()})


def table(rows: list[Row]) -> str:
    """Everything as Markdown."""
    by_arm = by_model(rows)
    together, alone = parted(by_arm)
    parts = [_scores(name, found, alone, on) for on in ("synthetic", "real") for name, found in together.items()]
    return "\n".join([*parts, _cost(by_arm, len(alone)), *(_conflict(name, f) for name, f in together.items())])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _head(title: str, *columns: str) -> str:
    return f"{title}\n\n" + _line(columns) + _line("---" for _ in columns)


def _scores(name: str, together: list[Row], alone: dict[str, list[Row]], on: str) -> str:
    found = compared(together, alone, on)
    seeds = len(together)
    title = f"{name}, {on} images: learnt together minus alone, positive where together is better, {seeds} seeds"
    text = _head(title, "task", "metric", "alone", "together", "difference [95 %]", "sign-flip test")
    for task, row in found.items():
        # One seed has no spread to draw from.
        interval = f" [{row.interval.low:+.3f}, {row.interval.high:+.3f}]" if seeds > 1 else ""
        text += _line(
            [
                task,
                alone[task][0]["scores"][task]["metric"],
                f"{_counts(alone[task], task, on).score():.3f}",
                f"{_counts(together, task, on).score():.3f}",
                f"{row.difference:+.3f}{interval}",
                str(row.test),
            ]
        )
    return text


def _counts(rows: list[Row], task: str, on: str) -> GroupCounts:
    return seed_scores([row["scores"][task][on] for row in rows])


def _cost(by_arm: dict[str, list[Row]], models: int) -> str:
    title = "Cost: mean over seeds; memory beside it before training, images included"
    text = _head(title, "model", "CPU seconds of training", "seconds", "peak MiB", "MiB before")
    alone = [0.0, 0.0, 0.0]
    for arm, rows in by_arm.items():
        names = ("cpu_seconds", "seconds", "peak_mib", "before_mib")
        cpu, seconds, peak, before = (fmean(row[name] for row in rows) for name in names)
        text += _line([arm, f"{cpu:.1f}", f"{seconds:.1f}", f"{peak:.0f}", f"{before:.0f}"])
        if arm.startswith("alone"):
            alone = [alone[0] + cpu, alone[1] + seconds, max(alone[2], peak)]
    cells = [f"{alone[0]:.1f}", f"{alone[1]:.1f}", f"{alone[2]:.0f}", ""]
    return text + _line([f"alone: all {models}, one after the other", *cells])


def _conflict(name: str, rows: list[Row]) -> str:
    title = f"{name}: cosine of the tasks' gradients on the shared encoder, mean over samples and seeds"
    text = _head(title, "stage", "tasks", "cosine", "negative", "by layers (cosine)")
    for stage, log in rows[0]["log"].items():
        for pair in log["conflict"]:
            found = [row["log"][stage]["conflict"][pair] for row in rows]
            layers = ", ".join(
                f"{layer} {_mean([each['groups'].get(layer, {}).get('mean') for each in found])}"
                for layer in found[0]["groups"]
            )
            negative = [each["negative"] for each in found if each["negative"] is not None]
            share = f"{100 * fmean(negative):.0f} %" if negative else ""
            text += _line([stage, pair, _mean([each["mean"] for each in found]), share, layers])
        weights = {task: fmean(row["log"][stage]["weights"][task]["mean"] for row in rows) for task in log["weights"]}
        text += f"\nMean weights in {stage}: " + ", ".join(f"{t} {w:.3g}" for t, w in weights.items()) + "\n"
    return text


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):+.3f}" if known else "none"
