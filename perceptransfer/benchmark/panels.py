"""What the HTML report draws beside curve and tables, as plain data: bars, confusion matrices, evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from perceptransfer.benchmark import text
from perceptransfer.benchmark.headline import speaker
from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.styles import arm_styles

RECALLS = ("accuracy", "balanced_accuracy")


def key_numbers(task: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few numbers that stand at the top, of the arm that speaks for the run; those without a value are left out."""
    arm = speaker(task)
    if arm is None:
        return []
    metric, content = task["metric"], task["arms"][arm]
    point = next(point for point in content["points"] if point["score"]["value"] is not None)
    spent = "no real labels" if point["labels"] == 0 else f"{point['labels']:g} real labels"
    shown = [
        (f"transfer ratio, {spent}", text.ratio(point["ratio"])),
        (f"gap closed, {spent}", text.ratio(point["gap_closed"])),
        ("labels saved at 1 %", text.ratio(content["label_savings"].get("0.01"), digits=1, suffix="\u00d7")),
        ("labels to 95 % of full real", text.ratio(content["n_to"]["0.95"], digits=0)),
    ]
    score = {
        "label": f"{metric.replace('_', ' ')}, {spent}",
        "value": text.number(point["score"]["value"], metric, unit=True),
        "note": text.interval(point["score"], metric),
    }
    return [score, *(_card(label, value) for label, value in shown if value != "\u2013")]


def _card(label: str, value: str) -> dict[str, str]:
    main, bracket, bounds = value.partition(" [")
    return {"label": label, "value": main, "note": bracket.strip() + bounds}


def per_class(task: Mapping[str, Any], fraction: float) -> dict[str, Any] | None:
    """Score on the images of each class for every arm that has a cell at the fraction; ``None`` when none has.

    A full bar stands for 1, or for the largest value where the metric has no upper end.
    """
    styles, metric = arm_styles(task["arms"]), task["metric"]
    arms = []
    for arm, content in task["arms"].items():
        found = [point for point in content["points"] if point["fraction"] == fraction and point["per_class"]]
        arms += [{"name": arm, "colour": styles[arm].colour, "values": found[0]["per_class"]}] if found else []
    if not arms:
        return None
    classes = list(dict.fromkeys(name for arm in arms for name in arm["values"]))
    known = [value for arm in arms for value in arm["values"].values() if value is not None]
    for arm in arms:
        values = {name: value for name, value in arm["values"].items() if value is not None}
        arm["texts"] = {name: text.number(value, metric, digits=0) for name, value in values.items()}
    full = 1.0 if text.is_share(metric) else max(known, default=0.0) or 1.0
    return {"share": text.share(fraction), "classes": classes, "arms": arms, "full": full}


def per_class_caption(task: Mapping[str, Any]) -> str:
    """What the bars of `per_class` show."""
    metric = task["metric"]
    if metric in RECALLS:
        return "Recall in percent, mean over seeds."
    unit, lower = " in percent" * text.is_share(metric), "; lower is better" * (task["direction"] == "lower")
    return f"{metric.replace('_', ' ')} on the images of each class{unit}, mean over seeds{lower}."


def chosen_fraction(task: Mapping[str, Any]) -> float | None:
    """The smallest fraction above zero: where a few labels matter most."""
    return min((fraction for fraction in task["fractions"] if fraction > 0), default=None)


def confusion(rows: Iterable[Row], arm: str, fraction: float) -> dict[str, Any] | None:
    """Confusion matrix summed over seeds, each row in shares of its class; ``None`` when no cell has one."""
    cells = [row for row in rows if (row.arm, row.fraction) == (arm, fraction) and row.confusion]
    if not cells:
        return None
    counts = np.sum([np.array(row.confusion) for row in cells], axis=0)
    classes = list(cells[0].per_class) or [str(k) for k in range(len(counts))]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    body = [
        [_confusion_cell(shares[i, j], int(counts[i, j]), classes[i], classes[j], i == j) for j in range(len(classes))]
        for i in range(len(classes))
    ]
    return {"arm": arm, "share": text.share(fraction), "classes": classes, "body": body, "seeds": len(cells)}


def _confusion_cell(share: float, count: int, true: str, predicted: str, right: bool) -> dict[str, str]:
    colour = "0, 114, 178" if right else "213, 94, 0"
    # Square root: errors of a few percent are what one looks for.
    strength = share if right else math.sqrt(share)
    return {
        "text": f"{100 * share:.0f}" if count else "",
        "style": f"background: rgba({colour}, {0.85 * strength:.3f});" + (" color: #fff;" if strength > 0.6 else ""),
        "title": f"true {true}, predicted {predicted}: {count} ({100 * share:.1f} %)",
    }


def evidence(rows: Iterable[Row], arm: str, fraction: float) -> dict[str, Any]:
    """What the stages of one cell reported without reading labels, mean over seeds."""
    reports = [row.report for row in rows if (row.arm, row.fraction) == (arm, fraction) and row.report]
    found = [report["self_train"]["rounds"] for report in reports if _mapping(report, "self_train").get("rounds")]
    kept = []
    for number in range(max(map(len, found), default=0)):
        parts = [rounds[number].get("kept_per_class", {}) for rounds in found if number < len(rounds)]
        kept += [shares] if (shares := _mean_by_name(parts)) else []
    priors = [prior for report in reports if "target" in (prior := _mapping(_mapping(report, "align"), "prior"))]
    validators = [
        {
            "stage": stage,
            "before": _mean_by_name([_mapping(_mapping(report, stage), "validators_before") for report in reports]),
            "after": _mean_by_name([_mapping(_mapping(report, stage), "validators_after") for report in reports]),
        }
        for stage in ("align", "self_train", "specialize")
        if any(_mapping(report, stage).get("validators_after") for report in reports)
    ]
    return {
        "arm": arm,
        "share": text.share(fraction),
        "kept": kept,
        "prior": _shares(priors),
        "distance": float(np.mean([prior["total_variation"] for prior in priors])) if priors else None,
        "validators": validators,
    }


def _shares(priors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean class shares of both domains, and the share that a full bar stands for."""
    if not priors:
        return {}
    both = {key: _mean_by_name([prior[key] for prior in priors]) for key in ("source", "target")}
    return both | {"full": 1.25 * max(value or 0.0 for side in both.values() for value in side.values())}


def alarms(rows: Iterable[Row]) -> list[str]:
    """Every alarm that a stage raised, one line for each arm and stage."""
    seen: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        for stage, report in row.report.items():
            if not isinstance(report, Mapping):
                continue
            prior = _mapping(report, "prior")
            told = [str(alarm) for alarm in report.get("alarms") or []]
            told += ["class balance of the real images differs from the synthetic one"] * bool(prior.get("alarm"))
            told += ["AdaBN was taken back: the validator fell"] * bool(report.get("rolled_back"))
            for alarm in told:
                seen.setdefault((row.arm, f"{stage}: {alarm}"), set()).add(row.seed)
    return [
        f"{arm}, {alarm} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))})"
        for (arm, alarm), seeds in sorted(seen.items())
    ]


def _mapping(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = report.get(key)
    return value if isinstance(value, Mapping) else {}


def _mean_by_name(parts: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    names = list(dict.fromkeys(name for part in parts for name in part))
    values = {name: [value for part in parts if (value := part.get(name)) is not None] for name in names}
    return {name: float(np.mean(known)) if known else None for name, known in values.items()}
