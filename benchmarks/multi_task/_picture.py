"""Interference as a picture: what each task wins or loses by learning together, by weighting and kind of image."""

from __future__ import annotations

import io
from typing import Any

from _tables import by_model, compared, parted
from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_INK, _SOFT = "#20242a", "#6b7280"


def picture(rows: list[dict[str, Any]]) -> bytes:
    """PNG: a panel for held-out synthetic images and one for real ones, a group of bars for each task."""
    together, alone = parted(by_model(rows))
    seeds = len(next(iter(alone.values())))
    figure = Figure(figsize=(10, 4.2), dpi=160, facecolor="white", layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, on in zip(panels, ("synthetic", "real"), strict=True):
        for index, (name, found) in enumerate(together.items()):
            differences = compared(found, alone, on)
            values = [100 * row.difference for row in differences.values()]
            low = [100 * (row.difference - row.interval.low) for row in differences.values()]
            high = [100 * (row.interval.high - row.difference) for row in differences.values()]
            width = 0.8 / len(together)
            places = [task + (index - (len(together) - 1) / 2) * width for task in range(len(values))]
            colour = _COLOURS[index % len(_COLOURS)]
            axes.bar(places, values, 0.9 * width, yerr=[low, high], color=colour, ecolor=_SOFT, label=name, capsize=2)
        axes.axhline(0, color=_INK, linewidth=0.8)
        scores = [f"{task}\n({rows[0]['scores'][task]['metric']})" for task, rows in alone.items()]
        axes.set_xticks(range(len(alone)), scores, color=_INK)
        axes.set_title("held-out synthetic images" if on == "synthetic" else "real test images", color=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("together minus alone (points)", color=_INK)
    panels[1].legend(frameon=False, fontsize=8, ncols=2)
    bars = f"bars: mean over {seeds} seeds, lines: 95 % interval; above 0, learning together is better"
    figure.suptitle(bars, fontsize=9, color=_SOFT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
