"""``report.html``: everything about a run on one page that opens without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from perceptransfer.benchmark import panels, text
from perceptransfer.benchmark.description import RunDescription, Samples
from perceptransfer.benchmark.headline import headline, speaker
from perceptransfer.benchmark.markdown import failures, legend
from perceptransfer.benchmark.points import SOURCE_ONLY
from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.sheet import data_uri, sheets
from perceptransfer.benchmark.styles import arm_styles
from perceptransfer.benchmark.table import references, score_table, summary_table, test_table


def render(
    title: str,
    tasks: Mapping[str, Any],
    rows: Sequence[Row],
    run: RunDescription,
    curves: Mapping[str, bytes],
    samples: Samples | None = None,
) -> str:
    """The page. ``tasks`` are the summary's, ``curves`` a PNG a task, ``rows`` all rows of the run."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["strong"] = _strong
    template = resources.files("perceptransfer.benchmark").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        run=run,
        facts=_facts(tasks, rows, run),
        sections=[
            _section(name, task, [row for row in rows if row.task == name], run, curves[name])
            for name, task in tasks.items()
        ],
        sheets=sheets(samples),
        failures=failures(rows),
        failed=sum(task["failed"] for task in tasks.values()),
        alarms=panels.alarms(rows),
        domains=_domains(run.data),
        data={key: value for key, value in run.data.items() if key not in ("domains", "name")},
        keys=[row for row in sorted(rows, key=lambda row: row.cell) if row.keys],
        share=text.share,
    )


def _strong(sentence: str) -> Markup:
    # Escaped first, so that nothing in the sentence but these tags is markup.
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(sentence))))


def _facts(tasks: Mapping[str, Any], rows: Sequence[Row], run: RunDescription) -> list[tuple[str, str]]:
    seeds = sorted({row.seed for row in rows})
    failed = sum(task["failed"] for task in tasks.values())
    cells = sum(task["cells"] for task in tasks.values())
    items = max((task["n_test"] or 0 for task in tasks.values()), default=0)
    reads = run.test_reads if run.test_reads is not None else sum(row.test_reads or 0 for row in rows)
    facts = [("seeds", str(len(seeds))), ("cells", f"{cells - failed} of {cells}"), ("real test items", str(items))]
    facts.append(("test reads", str(reads)))
    return [*facts, ("date", run.date)] if run.date else facts


def _section(name: str, task: Mapping[str, Any], rows: list[Row], run: RunDescription, curve: bytes) -> dict[str, Any]:
    first, arm = task["fractions"][0], speaker(task)
    fractions = [first, *(fraction for fraction in [panels.chosen_fraction(task)] if fraction not in (None, first))]
    shown = [SOURCE_ONLY, *([arm] if arm not in (None, SOURCE_ONLY) else [])]
    at = first if arm is None else _first_fraction(task, arm)
    found = [panels.confusion(rows, who, first if who == SOURCE_ONLY else at) for who in shown]
    return {
        "name": name,
        "metric": task["metric"].replace("_", " "),
        "direction": task["direction"],
        "speaker": arm,
        "headline": headline(task),
        "numbers": panels.key_numbers(task),
        "curve": data_uri(curve),
        "colours": {who: style.colour for who, style in arm_styles(task["arms"]).items()},
        "scores": score_table(task, run.arms),
        "summary": summary_table(task, rows, run.minutes_per_label.get(name)).transposed(),
        "tests": {who: table for who in references(task) if (table := test_table(task, who)).rows},
        "legend": legend(task),
        "bars": [panel for fraction in fractions if (panel := panels.per_class(task, float(fraction or 0)))],
        "bars_caption": panels.per_class_caption(task),
        "confusions": [panel for panel in found if panel],
        "evidence": None if arm is None else panels.evidence(rows, arm, at),
    }


def _first_fraction(task: Mapping[str, Any], arm: str) -> float:
    points = task["arms"][arm]["points"]
    return float(next(point["fraction"] for point in points if point["score"]["value"] is not None))


def _domains(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Roles with counts and fingerprints, where the data describes itself by ``domains``."""
    domains = data.get("domains")
    if not isinstance(domains, Mapping):
        return []
    return [{"role": role, **about} for role, about in domains.items() if isinstance(about, Mapping)]
