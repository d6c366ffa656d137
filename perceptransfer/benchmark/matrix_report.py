"""What people read of a cross-task matrix: claims, tables, heat map."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from perceptransfer.benchmark import text
from perceptransfer.benchmark.cross_task import ARROW, NONE, SCRATCH
from perceptransfer.benchmark.description import RunDescription
from perceptransfer.benchmark.heatmap import draw_matrix
from perceptransfer.benchmark.markdown import failures
from perceptransfer.benchmark.matrix import LEVEL, references, summarise_matrix
from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.table import FAILED, Entry, Table, train_seconds
from perceptransfer.metrics.significance import MIN_SEEDS

DEFAULT_TITLE = "Cross-task transfer: pretrained on task i, fine-tuned on task j"


def matrix_files(rows: list[Row], run: RunDescription) -> dict[str, bytes | str]:
    """Content of ``summary.json``, ``table.md`` and ``heatmap.png``."""
    summary, title = summarise_matrix(rows, run.claims), str(run.data.get("name") or DEFAULT_TITLE)
    return {
        "summary.json": json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        "table.md": write_matrix(title, summary, rows, run),
        "heatmap.png": draw_matrix(summary, title),
    }


def write_matrix(title: str, summary: Mapping[str, Any], rows: list[Row], run: RunDescription) -> str:
    """``table.md`` of a matrix."""
    parts = [f"# {title}\n", *claim_heads(summary["claims"]), *(f"- {claim_line(it)}\n" for it in summary["claims"])]
    for name, column in summary["targets"].items():
        parts += [f"## {name}: {column['metric'].replace('_', ' ')}, {column['direction']} is better\n"]
        for fraction, found in column["fractions"].items():
            parts += [f"### {text.share(float(fraction))} of the real labels ({found['labels']:g})\n"]
            parts += [column_table(name, column, found, rows, run.arms).to_markdown()]
    errors = [f"- {failure}" for failure in failures(rows)]
    parts += ["## Failed cells\n", "\n".join(errors) + "\n"] if errors else []
    parts += ["## Legend\n", "\n".join(f"- {line}" for line in legend(summary)) + "\n"]
    return "\n".join([*parts, f"Made by\n\n```\n{run.command}\n```\n"])


def claim_heads(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """What became of each claim, all its tests together."""
    heads = []
    for arm in dict.fromkeys(claim["arm"] for claim in claims):
        counts = Counter(claim["verdict"] for claim in claims if claim["arm"] == arm)
        said = ", ".join(f"{word} in {count} of {counts.total()} comparisons" for word, count in counts.items())
        heads.append(f"The claim that {arm} gains: {said}.\n")
    return heads


def claim_line(claim: Mapping[str, Any]) -> str:
    """A claim in one sentence: difference, interval, p and verdict."""
    test, metric = claim["test"], claim["metric"]
    said = f"{claim['arm']} against {_name(claim['against'], claim['arm'])} with {claim['labels']:g} labels: "
    said += f"**{text.number(test['value'], metric, sign=True)}** {text.interval(test, metric, sign=True)}"
    if claim["p"] is not None:
        said += f", p = {test['p']:.3g} (Holm over the claim's tests {claim['p']:.3g})"
    return f"{said}: **{claim['verdict']}**"


def column_table(
    target: str, column: Mapping[str, Any], found: Mapping[str, Any], rows: list[Row], descriptions: Mapping[str, str]
) -> Table:
    """Sources of one column at one fraction: score, differences from the baselines, budget."""
    others, metric = references(target, column["sources"]), column["metric"]
    header = ("pretrained on", "score", *(f"− {_name(other, f'{ARROW}{target}')}" for other in others))
    seconds, body = train_seconds(rows), []
    for source, cell in found["sources"].items():
        score, failed = cell["score"], f"{FAILED} {cell['failed']} failed" * bool(cell["failed"])
        main = f"{FAILED} failed" if score["value"] is None else text.number(score["value"], metric)
        arm = f"{source}{ARROW}{target}"
        body.append(
            (
                Entry(source, descriptions.get(arm, "")),
                Entry(main, text.interval(score, metric), failed, score.get("reason", "")),
                *(_difference(cell["against"].get(other), metric) for other in others),
                Entry(f"{seconds[arm]:.0f}" if arm in seconds else "–"),
            )
        )
    return Table((*header, "train s"), tuple(body))


def _difference(test: Mapping[str, Any] | None, metric: str) -> Entry:
    if test is None:
        return Entry("")
    tested = "not testable" if test["p"] is None else f"p = {test['p']:.3g}, Holm {test['p_holm']:.3g}"
    note = f"{text.interval(test, metric, sign=True)} {tested}".strip()
    return Entry(text.number(test["value"], metric, sign=True), note)


def _name(source: str, arm: str) -> str:
    return "from scratch" if source == SCRATCH else f"{source}{ARROW}{arm.partition(ARROW)[2]}"


def legend(summary: Mapping[str, Any]) -> list[str]:
    """How to read the tables, one sentence an item."""
    seeds = max((len(column["seeds"]) for column in summary["targets"].values()), default=0)
    testable = (
        f"With {seeds} seeds nothing is testable: at least {MIN_SEEDS} are needed."
        if seeds < MIN_SEEDS
        else f"With {seeds} seeds the smallest possible p is {2 / 2**seeds:.2g}, before Holm."
    )
    return [
        "Score on the real test: mean over seeds [95 % interval, bootstrap over seeds and test groups]. Differences "
        "are paired by seed and positive where the row is better.",
        "Row i: encoder pretrained on task i with synthetic labels, then fine-tuned on this task with the real labels "
        "named. The row of the task itself is the single-task model.",
        f"{SCRATCH}: this task on the real labels alone with the steps of both stages, so that budgets are equal. "
        f"{NONE}: fine-tuning of a random encoder, with fewer steps than the others.",
        f"p: two-sided sign-flip test over paired seeds; Holm: corrected over the sources of the table. {testable}",
        "A claim is named before the run and tested against from scratch and classification; where "
        f"p < {LEVEL:g} after Holm over these tests, a positive difference confirms it, a negative one contradicts it.",
    ]
