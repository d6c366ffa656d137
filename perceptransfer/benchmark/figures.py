"""The curve: score against real labels spent, with zero as a point of its own, broken off the log axis."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import nan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator

from perceptransfer.benchmark.points import SHUFFLED
from perceptransfer.benchmark.styles import KEY_ARMS, Style, arm_styles
from perceptransfer.benchmark.text import number, share

_INK, _SOFT, _GRID = "#20242a", "#6b7280", "#e8eaee"


def draw_curve(task: Mapping[str, Any], descriptions: Mapping[str, str], title: str) -> bytes:
    """`curve_figure` as PNG."""
    buffer = io.BytesIO()
    curve_figure(task, descriptions, title).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def curve_figure(task: Mapping[str, Any], descriptions: Mapping[str, str], title: str) -> Figure:
    """One task of the summary (`summarise(rows)["tasks"][name]`) as a figure of two axes: no labels, and some.

    ``descriptions`` maps arms to their legend text. Bands and bars are the summary's intervals. An arm that has only a
    zero-label score is continued as a dotted level; the best real-only score at all labels is the dashed line. The
    sanity row is left out: at the level of chance it would flatten all other lines.
    """
    styles = {name: style for name, style in arm_styles(task["arms"]).items() if name != SHUFFLED}
    figure = Figure(figsize=(11.5, 5.6), dpi=160, facecolor="white")
    zero, rest = figure.subplots(1, 2, sharey=True, width_ratios=[1.45, 6.2])
    figure.subplots_adjust(left=0.07, right=0.705, top=0.86, bottom=0.155, wspace=0.035)
    for name in sorted(styles, key=lambda item: styles[item].key):
        _draw_arm(zero, rest, task["arms"][name]["points"], styles[name], _dodge(name, styles), task["metric"])
    _draw_oracle(zero, rest, task)
    _axes(zero, rest, task)
    _legend(figure, task, styles, descriptions)
    figure.text(0.075, 0.945, title, fontsize=14, fontweight="bold", color=_INK, ha="left", va="center")
    seeds, items = len(task["seeds"]), task["n_test"]
    note = f"mean over {seeds} seed{'s' * (seeds != 1)}, 95 % interval"
    note += f" · {items} real test items" if items else ""
    figure.text(0.075, 0.898, note, fontsize=10, color=_SOFT, ha="left", va="center")
    return figure


def _dodge(name: str, styles: Mapping[str, Style]) -> float:
    """Place of an arm's zero-label marker, so that intervals stand beside each other."""
    order = sorted(styles)
    return 0.0 if len(order) == 1 else -0.62 + 1.24 * order.index(name) / (len(order) - 1)


def _draw_arm(zero: Axes, rest: Axes, points: list[dict[str, Any]], style: Style, dodge: float, metric: str) -> None:
    order = 4 if style.key else 3
    look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "zorder": order}
    look |= {"markersize": 7.5 if style.key else 4.5, "markeredgecolor": "white", "markeredgewidth": 0.8}
    at_zero = [point["score"] for point in points if point["labels"] == 0 and point["score"]["value"] is not None]
    for score in at_zero:
        zero.vlines(dodge, *_bounds(score), color=style.colour, linewidth=style.width, zorder=order)
        zero.plot([dodge], [score["value"]], linestyle="none", **look)
        if style.labelled:
            _label(zero, dodge, score["value"], number(score["value"], metric), style.colour)
    some = sorted((point for point in points if point["labels"] > 0), key=lambda point: float(point["labels"]))
    if some:
        x = [point["labels"] for point in some]
        low, high = zip(*(_bounds(point["score"]) for point in some), strict=True)
        rest.fill_between(x, low, high, color=style.colour, alpha=style.shade, linewidth=0, zorder=order)
        # A failed cell is a gap in the line, not a straight line over it.
        y = [nan if point["score"]["value"] is None else point["score"]["value"] for point in some]
        rest.plot(x, y, linewidth=style.width, **look)
    elif at_zero:
        for axes in (zero, rest):
            axes.axhline(
                at_zero[0]["value"], color=style.colour, linewidth=0.6 * style.width, linestyle=(0, (1, 2)), zorder=2
            )


def _bounds(score: Mapping[str, Any]) -> tuple[float, float]:
    """Interval of a score; the score itself where a single value gives none."""
    value = nan if score["value"] is None else score["value"]
    return score.get("low", value), score.get("high", value)


def _label(axes: Axes, x: float, y: float, value: str, colour: str) -> None:
    side = -1 if x < 0 else 1
    text = axes.annotate(value, (x, y), xytext=(7 * side, 0), textcoords="offset points", fontsize=10.5, zorder=6)
    text.set(color=colour, fontweight="bold", ha="right" if side < 0 else "left", va="center")
    text.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _draw_oracle(zero: Axes, rest: Axes, task: Mapping[str, Any]) -> None:
    oracle = task["oracle"]["score"]["value"]
    if oracle is None:
        return
    for axes in (zero, rest):
        axes.axhline(oracle, color=_INK, linewidth=1.1, linestyle=(0, (6, 3)), zorder=2)
    text = f"all real labels, no synthetic: {number(oracle, task['metric'], unit=True)}"
    above = task["direction"] == "higher"
    label = rest.annotate(
        text,
        (0.008, oracle),
        xycoords=("axes fraction", "data"),
        xytext=(0, 5 if above else -5),
        textcoords="offset points",
        fontsize=9.5,
        color=_INK,
        va="bottom" if above else "top",
    )
    label.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _axes(zero: Axes, rest: Axes, task: Mapping[str, Any]) -> None:
    shares: dict[float, list[float]] = {}
    for arm in task["arms"].values():
        for point in arm["points"]:
            shares.setdefault(point["labels"], []).append(point["fraction"])
    ticks = sorted(labels for labels in shares if labels > 0)
    rest.set_xscale("log")
    rest.set_xticks(ticks, [f"{labels:g}\n{_span(shares[labels])}" for labels in ticks])
    rest.xaxis.set_minor_locator(NullLocator())
    if ticks:
        rest.set_xlim(ticks[0] / 1.22, ticks[-1] * 1.22)
    zero.set_xlim(-1.3, 1.3)
    zero.set_xticks([0.0], ["0\nnone"])
    low, high = zero.get_ylim()
    room = 0.07 * (high - low)
    zero.set_ylim(low, high + room if task["direction"] == "higher" else high)
    zero.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, task["metric"], digits=0)))
    for axes in (zero, rest):
        axes.grid(axis="y", color=_GRID, linewidth=1)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, labelsize=10.5, length=0, pad=6)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(_SOFT)
    rest.tick_params(left=False, labelleft=False)
    rest.patch.set_visible(False)  # it would cover the end of a long label of the zero axes
    slash: dict[str, Any] = {"marker": [(-0.6, -1), (0.6, 1)], "markersize": 9, "linestyle": "none", "clip_on": False}
    slash |= {"color": _SOFT, "markeredgewidth": 1.2}
    zero.plot([1], [0], transform=zero.transAxes, **slash)
    rest.plot([0], [0], transform=rest.transAxes, **slash)
    unit = " (%)" if number(1.0, task["metric"]) == "100.0" else ""
    zero.set_ylabel(f"{task['metric'].replace('_', ' ')} on the real test{unit}", fontsize=11, color=_INK, labelpad=8)
    rest.set_xlabel("real labels spent (log scale), share of all available", fontsize=11, color=_INK, labelpad=8)


def _span(fractions: list[float]) -> str:
    low, high = min(fractions), max(fractions)
    return share(low) if low == high else f"{100 * low:g}-{share(high)}"


def _legend(
    figure: Figure, task: Mapping[str, Any], styles: Mapping[str, Style], descriptions: Mapping[str, str]
) -> None:
    names = [name for name in KEY_ARMS if name in styles] + sorted(name for name in styles if name not in KEY_ARMS)
    handles = [
        Line2D([], [], color=styles[name].colour, marker=styles[name].marker, linewidth=styles[name].width)
        for name in names
    ]
    texts = [_wrap(f"{name}  {descriptions.get(name, '')}".strip()) for name in names]
    legend = figure.legend(
        handles, texts, loc="upper left", bbox_to_anchor=(0.712, 0.875), frameon=False, fontsize=10, labelspacing=0.75
    )
    for name, text in zip(names, legend.get_texts(), strict=True):
        text.set_color(_INK if styles[name].key else _SOFT)
        text.set_fontweight("bold" if styles[name].key else "normal")


def _wrap(text: str, width: int = 34) -> str:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("    ")
        lines[-1] += word + " "
    return "\n".join(line.rstrip() for line in lines)
