"""The matrix as a picture: a panel a share of real labels, source by target, coloured by the gain over from scratch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from perceptransfer.benchmark import text
from perceptransfer.benchmark.cross_task import NONE, SCRATCH

_INK, _SOFT, _EMPTY = "#20242a", "#6b7280", "#f0f2f5"
_WORSE, _BETTER = (213, 94, 0), (0, 114, 178)


def draw_matrix(summary: Mapping[str, Any], title: str) -> bytes:
    """`matrix_figure` as PNG."""
    buffer = io.BytesIO()
    matrix_figure(summary, title).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def matrix_figure(summary: Mapping[str, Any], title: str) -> Figure:
    """Each cell tells score, difference from scratch with its interval, and p; all cells share one colour scale."""
    targets = summary["targets"]
    fractions = sorted({float(fraction) for column in targets.values() for fraction in column["fractions"]})
    names = {source for column in targets.values() for source in column["sources"]}
    sources = sorted(names, key=lambda name: ((SCRATCH, NONE).index(name) if name in (SCRATCH, NONE) else 2, name))
    full = max((abs(value) for value in _gains(summary)), default=0.0) or 1.0
    wide = max(4.5, 1.75 * len(targets) + 1.5)  # inches of a panel with the names of its rows
    high = 0.85 * len(sources) + 1.9
    figure = Figure(figsize=(max(7.5, wide * len(fractions) + 0.2), high), dpi=160, facecolor="white")
    for index, fraction in enumerate(fractions):
        left, width = (index * wide + 1.3) / figure.get_figwidth(), (wide - 1.4) / figure.get_figwidth()
        axes = figure.add_axes((left, 0.3 / high, width, 1 - 1.8 / high))
        _panel(axes, targets, sources, f"{fraction:g}", full)
    edge = 0.25 / figure.get_figwidth()
    figure.text(edge, 1 - 0.3 / high, title, fontsize=13, fontweight="bold", color=_INK, va="center")
    note = "rows: pretrained on (synthetic) · columns: fine-tuned on (real) · blue: better than scratch, orange: worse"
    figure.text(edge, 1 - 0.58 / high, note, fontsize=9, color=_SOFT, va="center")
    return figure


def _gains(summary: Mapping[str, Any]) -> list[float]:
    return [
        cell["against"][SCRATCH]["value"]
        for column in summary["targets"].values()
        for found in column["fractions"].values()
        for cell in found["sources"].values()
        if SCRATCH in cell["against"]
    ]


def _panel(axes: Axes, targets: Mapping[str, Any], sources: list[str], fraction: str, full: float) -> None:
    for x, column in enumerate(targets.values()):
        found = column["fractions"].get(fraction, {"sources": {}})
        for y, source in enumerate(sources):
            cell = found["sources"].get(source)
            test = None if cell is None else cell["against"].get(SCRATCH)
            colour = _EMPTY if test is None else _colour(test["value"] / full)
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
            if cell is not None and cell["score"]["value"] is not None:
                _write(axes, x, y, cell["score"], test, column["metric"])
    heads = [f"{name}\n{column['metric'].replace('_', ' ')}" for name, column in targets.items()]
    labels = {found["labels"] for column in targets.values() if (found := column["fractions"].get(fraction))}
    axes.set_title(f"{text.share(float(fraction))}: {max(labels):g} real labels", fontsize=10.5, color=_INK, pad=10)
    axes.set_xticks([x + 0.5 for x in range(len(heads))], heads)
    axes.set_yticks([y + 0.5 for y in range(len(sources))], sources)
    axes.xaxis.tick_top()
    axes.set_xlim(0, len(heads))
    axes.set_ylim(len(sources), 0)
    axes.tick_params(length=0, labelsize=9.5, colors=_INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write(axes: Axes, x: int, y: int, score: Mapping[str, Any], test: Mapping[str, Any] | None, metric: str) -> None:
    place: dict[str, Any] = {"ha": "center", "va": "center", "color": _INK}
    axes.text(x + 0.5, y + 0.27, text.number(score["value"], metric), fontsize=11, fontweight="bold", **place)
    if test is not None:
        gain = f"{text.number(test['value'], metric, sign=True)} {text.interval(test, metric, sign=True)}"
        tested = "not testable" if test["p"] is None else f"p = {test['p']:.2g}"
        axes.text(x + 0.5, y + 0.65, f"{gain}\n{tested}", fontsize=7.5, linespacing=1.35, **place)


def _colour(share: float) -> tuple[float, ...]:
    """White at 0, the palette's blue at 1 and orange at −1, never so dark that black text cannot be read."""
    strength = 0.75 * min(1.0, abs(share))
    return tuple(1 - strength * (1 - channel / 255) for channel in (_BETTER if share > 0 else _WORSE))
