"""All that people look at after a run, regenerated from what the grid wrote."""

from __future__ import annotations

import json
from pathlib import Path

from perceptransfer.benchmark.cross_task import CrossTask
from perceptransfer.benchmark.description import RunDescription, Samples
from perceptransfer.benchmark.figures import draw_curve
from perceptransfer.benchmark.html import render
from perceptransfer.benchmark.markdown import write_markdown
from perceptransfer.benchmark.matrix_report import matrix_files
from perceptransfer.benchmark.rows import Row, read_rows
from perceptransfer.benchmark.summary import summarise
from perceptransfer.core.errors import DataError
from perceptransfer.core.files import write_atomic

DEFAULT_TITLE = "Synthetic to real: score against real labels"


def write_report(folder: Path, run: RunDescription | None = None) -> list[Path]:
    """Write ``summary.json``, ``table.md``, ``curve.png`` and ``report.html`` from ``results.jsonl`` in ``folder``.

    ``run`` is stored as ``run.json``; without it the one that is there is used. ``samples.npz`` gives the sample sheet
    when it is there. ``curve.png`` shows the first task by name; further tasks get ``curve-NAME.png``. A cross-task
    matrix gets ``summary.json``, ``table.md`` and ``heatmap.png``. Every file is replaced as a whole, and equal rows
    give an equal ``summary.json``.

    Returns:
        The files written.

    Raises:
        DataError: no rows, damaged rows, or an unreadable run description.
        OutputError: the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    rows = read_rows(folder / "results.jsonl")
    if not rows:
        raise DataError(
            "no finished cell to report", where=folder / "results.jsonl", remedy="run the benchmark into this folder"
        )
    if run is None:
        run = RunDescription.load(folder / "run.json")
    else:
        run.save(folder / "run.json")
    samples = Samples.load(folder / "samples.npz") if (folder / "samples.npz").exists() else None
    content = matrix_files(rows, run) if run.kind == CrossTask.KIND else _curve_files(rows, run, samples)
    for name, data in content.items():
        write_atomic(folder / name, data)
    return [folder / name for name in content]


def _curve_files(rows: list[Row], run: RunDescription, samples: Samples | None) -> dict[str, bytes | str]:
    summary = summarise(rows, minutes_per_label=run.minutes_per_label)
    tasks, title = summary["tasks"], str(run.data.get("name") or DEFAULT_TITLE)
    titles = {name: title if len(tasks) == 1 else f"{title}: {name}" for name in tasks}
    curves = {name: draw_curve(task, run.arms, titles[name]) for name, task in tasks.items()}
    content: dict[str, bytes | str] = {
        "summary.json": json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        "table.md": write_markdown(title, tasks, rows, run),
        "report.html": render(title, tasks, rows, run, curves, samples),
    }
    for index, (name, png) in enumerate(curves.items()):
        content["curve.png" if index == 0 else f"curve-{name}.png"] = png
    return content
