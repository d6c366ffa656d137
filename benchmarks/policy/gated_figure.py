"""The picture of a gated fine-tuning run: success before and after, and what the gate did from update to update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from perceptransfer.metrics import rate_interval, wilson

FROZEN, TUNED, SOFT, BAD = "#8c8c8c", "#0072B2", "#6b7280", "#D55E00"  # Okabe and Ito's palette


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG of two panels."""
    figure = Figure(figsize=(10.5, 4.2), dpi=110, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    _success(left, result["tuned"]["conditions"], result.get("told the truth", {}))
    if "not worn" in result:
        shares = [row["successes"] / row["n"] for row in result["not worn"].values()]
        at = [i - 0.18 for i in range(len(shares))]
        left.plot(at, shares, "x", color="#009E73", markersize=7, markeredgewidth=2, label="frozen, arm not worn")
    _gate(right, result["tuned"]["updates"], result["poisoned"])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _success(axes: Axes, conditions: dict[str, Any], told: dict[str, Any]) -> None:
    for place, (side, colour) in enumerate((("frozen", FROZEN), ("tuned", TUNED))):
        scores = [wilson(row[side]["successes"], row[side]["n"]) for row in conditions.values()]
        at = [i + 0.36 * (place - 0.5) for i in range(len(scores))]
        reach = [[s.value - s.low for s in scores], [s.high - s.value for s in scores]]
        heights = [s.value for s in scores]
        axes.bar(at, heights, 0.34, yerr=reach, color=colour, ecolor="#20242a", capsize=3, label=side)
        if told:
            truth = [told[name][side]["successes"] / told[name][side]["n"] for name in conditions]
            label = "told where the target is" if place else None
            axes.plot(at, truth, "_", color=BAD, markersize=22, markeredgewidth=2, label=label)
    axes.set_xticks(range(len(conditions)), list(conditions))
    axes.set_ylim(0, 1.28)  # room for the legend
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_title("success on the shifted robot, 95 % interval", fontsize=10, loc="left")


def _gate(axes: Axes, updates: list[dict[str, Any]], poisoned: dict[str, Any]) -> None:
    judged = [row["statistics"] for row in updates if row["statistics"]]
    states = [judged[0]["before"], *(row["after"] for row in judged)]
    _rates(axes, range(len(states)), states, TUNED, "after each update")
    for i, row in enumerate((row for row in updates if row["statistics"]), start=1):
        if not row["kept"]:
            axes.annotate("rolled back", (i, 0.005), ha="center", fontsize=8, color=BAD)
    if poisoned["statistics"]:
        label = "poisoned instead, rolled back"
        _rates(axes, [poisoned["update"] + 1.15], [poisoned["statistics"]["after"]], BAD, label)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_xticks(range(len(states)), ["frozen", *(str(row["update"]) for row in updates if row["statistics"])])
    axes.set_xlabel("update")
    axes.set_title("ticks that the gate changed, on the watch starts", fontsize=10, loc="left")


def _rates(axes: Axes, at: Any, states: list[dict[str, Any]], colour: str, label: str) -> None:
    rates = [rate_interval(state["interventions"], state["ticks"]) for state in states]
    reach = [[r.rate - r.low for r in rates], [r.high - r.rate for r in rates]]
    axes.errorbar(list(at), [r.rate for r in rates], reach, fmt="o-", color=colour, capsize=3, label=label)
