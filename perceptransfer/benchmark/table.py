"""The tables of a run, as plain cells that Markdown and HTML share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from perceptransfer.benchmark import text
from perceptransfer.benchmark.rows import Row

BELOW_SOURCE, BELOW_REAL, FAILED = "\u25bc", "\u25bd", "\u2717"


class Entry(NamedTuple):
    """One table cell: what it says, its interval in small print, marks, and why (shown on hovering)."""

    main: str
    note: str = ""
    marks: str = ""
    why: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of entries under a header; the first column names the arm."""

    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]

    def transposed(self) -> Table:
        """Arms across: the better layout for many numbers of few arms."""
        columns = zip(*self.rows, strict=True)
        names = next(columns)
        rows = ((Entry(name), *column) for name, column in zip(self.header[1:], columns, strict=True))
        return Table(("", *(name.main for name in names)), tuple(rows))

    def to_markdown(self) -> str:
        """GitHub-flavoured Markdown."""
        lines = ["| " + " | ".join(self.header) + " |", "|:--" + "|--:" * (len(self.header) - 1) + "|"]
        for name, *cells in self.rows:
            bold = name._replace(main=f"**{name.main}**")
            lines.append("| " + " | ".join(map(_markdown, (bold, *cells))) + " |")
        return "\n".join(lines) + "\n"


def _markdown(entry: Entry) -> str:
    joined = " ".join(part for part in (entry.main, entry.note, entry.marks) if part)
    return joined.replace("|", "\\|").replace("\n", " ")


def score_table(task: Mapping[str, Any], descriptions: Mapping[str, str]) -> Table:
    """Arms × fractions: mean score, interval, marks of negative transfer and of failed seeds."""
    metric = task["metric"]
    header = ("arm", *(_fraction_head(task, fraction) for fraction in task["fractions"]))
    rows = []
    for arm, content in task["arms"].items():
        points = {point["fraction"]: point for point in content["points"]}
        cells = [_score_entry(points.get(fraction), metric) for fraction in task["fractions"]]
        rows.append((Entry(arm, descriptions.get(arm, "")), *cells))
    return Table(header, tuple(rows))


def _fraction_head(task: Mapping[str, Any], fraction: float) -> str:
    spent = [
        point["labels"]
        for arm in task["arms"].values()
        for point in arm["points"]
        if point["fraction"] == fraction and point["labels"] is not None
    ]
    return f"{text.share(fraction)} ({max(spent):g})" if fraction and spent else text.share(fraction)


def _score_entry(point: Mapping[str, Any] | None, metric: str) -> Entry:
    if point is None:
        return Entry("")
    seeds = len(point["seeds"])
    failed = f"{FAILED} {point['failed']} of {seeds + point['failed']} seeds failed" if point["failed"] else ""
    score = point["score"]
    if score["value"] is None:
        return Entry(f"{FAILED} failed", "", "", score["reason"])
    harm = point["negative_transfer"] or {}
    marks = [BELOW_SOURCE] if harm.get("below_source_only") else []
    marks += [BELOW_REAL] if harm.get("below_real_only") else []
    why = " and ".join(
        word for mark, word in ((BELOW_SOURCE, "below source-only"), (BELOW_REAL, "below real-only")) if mark in marks
    )
    marks += [failed] if failed else []
    return Entry(text.number(score["value"], metric), text.interval(score, metric), " ".join(marks), why)


def summary_table(task: Mapping[str, Any], rows: Iterable[Row], minutes_per_label: float | None = None) -> Table:
    """The protocol's summary row of each arm, with train seconds and the price of reaching 95 % of full real."""
    first, last, metric = task["fractions"][0], task["fractions"][-1], task["metric"]
    at = [fraction for fraction in (0.0, 0.01, 0.1, 1.0) if fraction in task["fractions"]]
    seconds = train_seconds(rows)
    zero, end, calibrated = text.share(first), text.share(last), has_ece(task)
    header = [
        *("arm", f"gap @{zero}", *(f"ratio @{text.share(fraction)}" for fraction in at)),
        *(f"gap closed @{zero}", "labels saved @1 %", "labels saved @10 %", "n to 90 %", "n to 95 %", "n to 98 %"),
        *("area", f"worst class @{zero}", *([f"ECE @{zero}"] if calibrated else [])),
        *(f"forgetting @{end}", "labelling to 95 %", "train s"),
    ]
    body = []
    for arm, content in task["arms"].items():
        points = {point["fraction"]: point for point in content["points"]}
        start, stop = points.get(first, {}), points.get(last, {})
        need = content["n_to"]["0.95"]
        cells = [
            _score(start.get("gap"), metric, sign=True),
            *(_ratio(points.get(fraction, {}).get("ratio")) for fraction in at),
            _ratio(start.get("gap_closed"), digits=2),
            *(_ratio(content["label_savings"].get(key), digits=1, suffix="\u00d7") for key in ("0.01", "0.1")),
            *(_ratio(content["n_to"][key], digits=0) for key in ("0.9", "0.95", "0.98")),
            _score(content["area"], metric),
            _worst(start.get("worst_class"), metric),
            *([_ratio(start.get("ece"))] if calibrated else []),
            _score(stop.get("forgetting"), metric, sign=True),
            Entry(_price(need, minutes_per_label)),
            Entry(f"{seconds[arm]:.0f}" if arm in seconds else "\u2013"),
        ]
        body.append((Entry(arm), *cells))
    return Table(tuple(header), tuple(body))


def has_ece(task: Mapping[str, Any]) -> bool:
    """Whether any arm has a calibration error, as classifiers do."""
    points = (point for arm in task["arms"].values() for point in arm["points"])
    return any(point["ece"]["value"] is not None for point in points)


def _score(item: Mapping[str, Any] | None, metric: str, *, sign: bool = False) -> Entry:
    if item is None or item["value"] is None:
        return Entry("\u2013", why="" if item is None else item["reason"])
    return Entry(text.number(item["value"], metric, sign=sign), text.interval(item, metric, sign=sign))


def _ratio(item: Mapping[str, Any] | None, *, digits: int = 3, suffix: str = "") -> Entry:
    main, _, note = text.ratio(item, digits=digits, suffix=suffix).partition(" [")
    return Entry(main, note and f"[{note}", why="" if item is None else item.get("reason", ""))


def _worst(item: Mapping[str, Any] | None, metric: str) -> Entry:
    if item is None or item["value"] is None:
        return Entry("\u2013")
    return Entry(f"{item['class']}: {text.number(item['value'], metric)}")


def _price(need: Mapping[str, Any], minutes: float | None) -> str:
    """Labelling time of the labels needed, also where only a bound of them is known."""
    for key, sign in (("value", ""), ("at_most", "\u2264 "), ("above", "> ")):
        if minutes is not None and need.get(key) is not None:
            return sign + text.duration(60 * minutes * need[key])
    return "\u2013"


def references(task: Mapping[str, Any]) -> list[str]:
    """Arms from which `test_table` knows differences."""
    return list(dict.fromkeys(who for arm in task["arms"].values() for at in arm["points"] for who in at["tests"]))


def test_table(task: Mapping[str, Any], reference: str) -> Table:
    """Paired differences from one arm at each fraction, with Holm-corrected p values."""
    fractions = [
        fraction
        for fraction in task["fractions"]
        if any(_test(arm, fraction, reference) for arm in task["arms"].values())
    ]
    rows = [
        (Entry(arm), *(_test_entry(_test(content, fraction, reference), task["metric"]) for fraction in fractions))
        for arm, content in task["arms"].items()
        if any(_test(content, fraction, reference) for fraction in fractions)
    ]
    return Table(("arm", *(_fraction_head(task, fraction) for fraction in fractions)), tuple(rows))


test_table.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from collecting it by its name


def _test(arm: Mapping[str, Any], fraction: float, reference: str) -> Any:
    return next((point["tests"].get(reference) for point in arm["points"] if point["fraction"] == fraction), None)


def _test_entry(test: Mapping[str, Any] | None, metric: str) -> Entry:
    if test is None:
        return Entry("")
    note = f"{text.interval(test, metric, sign=True)}\n{text.p_value(test)}".strip()
    return Entry(text.number(test["value"], metric, sign=True), note)


def train_seconds(rows: Iterable[Row]) -> dict[str, float]:
    """Mean training seconds of one model of each arm, over fractions and seeds."""
    times: dict[str, list[float]] = {}
    for row in rows:
        if row.train_seconds is not None and row.error is None:
            times.setdefault(row.arm, []).append(row.train_seconds)
    return {arm: float(np.mean(values)) for arm, values in times.items()}
