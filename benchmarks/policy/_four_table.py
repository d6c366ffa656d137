"""The table of four_methods.py: success and safety of each method beside what it took from the robot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from perceptransfer.metrics import rule_of_three, wilson
from perceptransfer.robot.rollout import Episode, totals
from perceptransfer.robot.worlds import Reach


def summary(name: str, runs: list[dict[str, Any]], costs: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the table from the episodes of each seed and ``costs``, what was taken from the robot before.

    Each of several costs made one policy, and the table says what one takes; one cost made all policies.
    """
    episodes = [Episode.from_row(row) for run in runs for row in run["episodes"]]
    sums = totals(episodes)
    keys = ("episodes", "ticks", "interventions", "pictures")
    cost = {key: sum(one.get(key, 0) for one in costs) / max(1, len(costs)) for key in keys}
    violations = sums["violations"] + sum(one["violations"] for one in costs)
    ticks = sums["ticks"] + sum(one["ticks"] for one in costs)
    good = wilson(sums["successes"], sums["episodes"])
    return {
        "method": name,
        "successes": good.successes,
        "episodes": good.trials,
        "interval": [good.low, good.high],
        "by_seed": [sum(row["success"] for row in run["episodes"]) for run in runs],
        "perception_error": float(np.mean([e.perception_error for e in episodes])),
        "cost": {**cost, "labels": 0},
        "interventions": sums["interventions"],
        "ticks": sums["ticks"],
        "violations": violations,
        "all_ticks": ticks,
        "violation_rate_at_most": None if violations else rule_of_three(ticks),
    }


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown."""
    rows = [
        "| method | encoder saw | success (95 % interval) | perception error, cm | taken from the robot "
        "| of it by the gate | test: gate / proposed ticks | violations, all robot ticks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        cost, bound = line["cost"], line["violation_rate_at_most"]
        taken = "nothing"
        if cost["ticks"]:
            taken = f"{cost['episodes']:.0f} episodes, {cost['ticks']:.0f} ticks = {cost['ticks'] * Reach.dt:.0f} s"
            taken += f", {cost['pictures']:.0f} unlabeled pictures" if cost["pictures"] else ""
        safe = f"{line['violations']} / {line['all_ticks']}" + ("" if bound is None else f" (below {bound:.1e} a tick)")
        cells = [
            line["method"],
            "{trained_on}, {frames} frames, {steps} steps".format(**line["encoder"]),
            wilson(line["successes"], line["episodes"]),
            f"{100 * line['perception_error']:.1f}",
            taken,
            f"{cost['interventions']:.0f}",
            f"{line['interventions']} / {line['ticks']}",
            safe,
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Success with intervals."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.5 * len(lines) + 1), layout="constrained")
    for place, line in enumerate(reversed(lines)):
        share, (low, high) = line["successes"] / line["episodes"], line["interval"]
        axes.barh(place, share, height=0.6, color="#4477aa")
        axes.errorbar(share, place, xerr=[[share - low], [high - share]], color="black", capsize=4)
        axes.text(1.02, place, f"{line['cost']['ticks'] * Reach.dt:.0f} s on the robot", va="center", fontsize=8)
    axes.set(xlim=(0, 1), xlabel="success on the robot, 95 % interval")
    axes.set_yticks(range(len(lines)), [line["method"] for line in reversed(lines)])
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
