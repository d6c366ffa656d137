"""What a run says, in a few sentences: only what was measured, harm included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perceptransfer.benchmark import text
from perceptransfer.benchmark.points import SHUFFLED, SOURCE_ONLY
from perceptransfer.metrics.direction import orient

# The most complete arm that was run speaks for the run; choosing the best one would be a choice by test score.
_SPEAKERS = ("I", "H", "G", "F", "E", "D'", "D+", "D")


def speaker(task: Mapping[str, Any]) -> str | None:
    """The arm that the headline is about."""
    return next((arm for arm in _SPEAKERS if _points(task, arm)), None)


def headline(task: Mapping[str, Any]) -> list[str]:
    """Sentences in Markdown, the numbers in ``**bold**``."""
    arm = speaker(task)
    if arm is None:
        return ["No arm that uses synthetic images has a finished cell, so that there is no transfer to report."]
    return [*_first(task, arm), *_with_labels(task, arm), *_harm(task), *_sanity(task)]


def _points(task: Mapping[str, Any], arm: str) -> list[Any]:
    content = task["arms"].get(arm, {"points": []})
    return [point for point in content["points"] if point["score"]["value"] is not None]


def _first(task: Mapping[str, Any], arm: str) -> Iterator[str]:
    metric, oracle, point = task["metric"], task["oracle"], _points(task, arm)[0]
    name = "the whole pipeline (I)" if arm == "I" else f"arm {arm}"
    spent = "no real labels" if point["labels"] == 0 else f"{point['labels']:g} real labels"
    said = f"With **{spent}** {name} scores **{text.number(point['score']['value'], metric, unit=True)}**"
    said += f" {text.interval(point['score'], metric)} on real images".replace("  ", " ")
    if point["ratio"]["value"] is not None:
        full = text.number(oracle["score"]["value"], metric, unit=True)
        said += f", **{point['ratio']['value']:.3f}** of the best real-only model on all {oracle['labels']:g} labels"
        said += f" ({full})"
    yield said + "."
    base = _points(task, "D")
    if arm != "D" and base:
        alone = f"Synthetic images alone (D) give {text.number(base[0]['score']['value'], metric, unit=True)}"
        closed = point["gap_closed"]["value"]
        if closed is None:
            yield alone + "."
        elif closed < 0:
            yield alone + f": the gap grew by {-100 * closed:.0f} %."
        else:
            yield alone + f": **{100 * closed:.0f} %** of the gap is closed."


def _with_labels(task: Mapping[str, Any], arm: str) -> Iterator[str]:
    """The smallest fraction above zero at which real-only was run, too."""
    real_only = {point["fraction"]: point for point in _points(task, "A")}
    both = [point for point in _points(task, arm) if point["fraction"] in real_only and 0 < point["fraction"] < 1]
    if not both:
        return
    point, metric = both[0], task["metric"]
    scores = (point["score"]["value"], real_only[point["fraction"]]["score"]["value"])
    mine, other = (text.number(score, metric, unit=True) for score in scores)
    said = f"With {point['labels']:g} real labels ({text.share(point['fraction'])}) it scores **{mine}**, "
    said += f"real-only training {other}"
    saved = task["arms"][arm]["label_savings"].get(f"{point['fraction']:g}")
    if saved is not None and saved["value"] is not None and saved["value"] > 1:
        said += f", which needs **{saved['value']:.1f}\u00d7** as many labels to get there"
    yield said + "."


def _harm(task: Mapping[str, Any]) -> Iterator[str]:
    harmful, checked = [], False
    for arm in task["arms"]:
        for point in _points(task, arm):
            flags = point["negative_transfer"] or {}
            checked = checked or any(flag is not None for flag in flags.values())
            if any(flags.values()):
                harmful.append(f"{arm} @{text.share(point['fraction'])}")
    if harmful:
        yield f"**Negative transfer** in {len(harmful)} place{'s' * (len(harmful) > 1)}: {', '.join(harmful)}."
    elif checked:
        yield "No arm ends below source-only or below real-only with the same labels."


def _sanity(task: Mapping[str, Any]) -> Iterator[str]:
    """Whether shuffled labels stay below synthetic images alone; if not, something else gives the answers away."""
    shuffled, base = _points(task, SHUFFLED), _points(task, SOURCE_ONLY)
    if not shuffled or not base:
        return
    sign = orient(1.0, task["direction"])
    best = max(shuffled, key=lambda point: sign * point["score"]["value"])["score"]["value"]
    score, source = (text.number(value, task["metric"], unit=True) for value in (best, base[0]["score"]["value"]))
    if sign * best < sign * base[0]["score"]["value"]:
        yield f"Sanity: on shuffled real labels the same training reaches {score}, below {source} of synthetic-only."
    else:
        yield f"**Sanity row fails**: shuffled real labels reach {score}, synthetic-only {source}. Do not trust it."
