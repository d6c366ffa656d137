"""The commands as typed functions; their arguments are the options."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

from perceptransfer.benchmark import Cells, CrossTask, Grid, RealFractionBenchmark, failures, write_report
from perceptransfer.core.config import config_of
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.data import TransferData
from perceptransfer.learning import Runtime
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline, Store


def benchmark(
    data: TransferData,
    pipeline: Pipeline,
    arms: list[str] | None = None,
    fractions: list[float] | None = None,
    seeds: list[int] | None = None,
    weights: Encoder | None = None,
    arm_fractions: dict[str, list[float]] | None = None,
    output: str = "results/benchmark",
    store: str | None = None,
    jobs: int | None = None,
    threads: int = 1,
    accelerator: str = "cpu",
    minutes_per_label: float = 0.1,
    title: str | None = None,
    quiet: bool = False,
) -> int:
    """Real-data-fraction benchmark: score on real test images against the share of real labels, for every arm.

    Args:
        data: Synthetic and real images.
        pipeline: The pipeline under test; every arm is made from its stages.
        arms: Arms to run; null runs all that the pipeline's stages allow, without the controls A+ and D+ and
            the sanity row S.
        fractions: Shares of the real label pool, 0 to 1; null means 0, 0.01, 0.1 and 1.
        seeds: Seeds; each draws another permutation of the real labels. null means 0, 1 and 2.
        weights: Pretrained encoder of arms B and C, which are left out without it.
        arm_fractions: Arms that run at some of the fractions only, such as "{A+: [1]}"; null for none.
        output: Folder for results, ledger and report; run again to go on after an interruption.
        store: Folder of trained stages, to be shared between benchmarks; null puts it into the output folder.
        jobs: Processes; null takes one a core.
        threads: Threads a process; results are bit-equal for one number of threads.
        accelerator: Lightning's accelerator: cpu, gpu or auto.
        minutes_per_label: Price of one label in minutes, for the cost column.
        title: Head of the report.
        quiet: Print no progress.
    """
    grid = Grid(data, pipeline, arms, fractions, seeds, weights, arm_fractions)
    about = {"minutes_per_label": minutes_per_label, "title": title}
    failed = _run_grid(grid, output, store, jobs, threads, accelerator, quiet, **about)
    print(f"report: {Path(output) / 'report.html'}")
    return failed


def cross_task(
    data: TransferData,
    pipeline: Pipeline,
    sources: list[str] | None = None,
    targets: list[str] | None = None,
    fractions: list[float] | None = None,
    seeds: list[int] | None = None,
    claims: list[str] | None = None,
    output: str = "results/cross_task",
    store: str | None = None,
    jobs: int | None = None,
    threads: int = 1,
    accelerator: str = "cpu",
    title: str | None = None,
    quiet: bool = False,
) -> int:
    """Cross-task matrix: pretrain on task i, fine-tune on task j with few real labels, at equal budget.

    Args:
        data: Synthetic and real images with the labels of all tasks.
        pipeline: Encoder, tasks, pretraining and fine-tuning; each task is also trained alone and from scratch.
        sources: Tasks i by name, and none for a random encoder; null means all.
        targets: Tasks j by name; null means all.
        fractions: Shares of the real label pool, above 0; null means 0.01 and 0.1.
        seeds: Seeds; each draws other real labels. null means 0 to 5, the fewest that can be tested.
        claims: Pairs, written as "i → j", whose gain was claimed beforehand.
        output: Folder for results, ledger and report; run again to go on after an interruption.
        store: Folder of trained stages, to be shared between benchmarks; null puts it into the output folder.
        jobs: Processes; null takes one a core.
        threads: Threads a process; results are bit-equal for one number of threads.
        accelerator: Lightning's accelerator: cpu, gpu or auto.
        title: Head of the report.
        quiet: Print no progress.
    """
    grid = CrossTask(data, pipeline, sources, targets, fractions, seeds, claims)
    failed = _run_grid(grid, output, store, jobs, threads, accelerator, quiet, title=title)
    print(f"heat map: {Path(output) / 'heatmap.png'}")
    return failed


def _run_grid(
    grid: Cells,
    output: str,
    store: str | None,
    jobs: int | None,
    threads: int,
    accelerator: str,
    quiet: bool,
    **about: Any,
) -> int:
    run = RealFractionBenchmark(
        grid,
        Path(output),
        store=None if store is None else Path(store),
        jobs=jobs if jobs is not None else os.cpu_count() or 1,
        threads=threads,
        runtime=Runtime(accelerator=accelerator),
        **about,
    )
    failed = failures(run.run(quiet=quiet))
    print((Path(output) / "table.md").read_text())
    for row in failed:
        print(f"failed: arm {row.arm}, fraction {row.fraction}, seed {row.seed}: {row.error}", file=sys.stderr)
    return 1 if failed else 0


def run(
    data: TransferData,
    pipeline: Pipeline,
    seed: int = 0,
    output: str = "results/run",
    store: str | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    workers: int = 0,
) -> int:
    """Run one pipeline and score the real test after each stage.

    Args:
        data: Synthetic and real images; data.real_fraction says how many real labels are used.
        pipeline: Encoder, tasks and stages; a stage that is null is left out.
        seed: Seed of the split of labels and of every stage.
        output: Folder for checkpoint, report and ledger.
        store: Folder of trained stages, to be shared between runs; null puts it into the output folder.
        accelerator: Lightning's accelerator: cpu, gpu or auto.
        devices: Number of devices.
        workers: Processes that load images; 0 loads in the training process.
    """
    folder = Path(output)
    result = pipeline.run(
        data,
        seed=seed,
        store=Store(folder / "store" if store is None else Path(store)),
        ledger=Ledger(folder / "ledger.jsonl"),
        runtime=Runtime(accelerator=accelerator, devices=devices, workers=workers, progress=_step_line),
    )
    result.checkpoint.save(folder / "checkpoint.safetensors")
    summary = {
        "seed": seed,
        "keys": result.keys,
        "stages": result.reports,
        "transfer": json.loads(result.report.to_json()),
        "scores": {name: evaluation.as_dict() for name, evaluation in result.evaluations.items()},
        "config": {"data": config_of(data), "pipeline": config_of(pipeline)},
    }
    write_atomic(folder / "report.json", json.dumps(summary, indent=1, sort_keys=True))
    for name, evaluation in result.evaluations.items():
        synthetic = "" if evaluation.score_synthetic is None else f", synthetic {evaluation.score_synthetic:.3f}"
        print(f"{name:<12} real {evaluation.metric} {evaluation.score:.3f}{synthetic}")
    print(f"checkpoint: {folder / 'checkpoint.safetensors'}")
    return 0


def _step_line(stage: str, step: int, steps: int) -> None:
    if step == steps or step % max(1, steps // 20) == 0:
        print(f"\r{stage}: {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


def report(folder: str) -> int:
    """Write summary.json, table.md, curve.png and report.html of a results folder again.

    Args:
        folder: Folder with results.jsonl and run.json.
    """
    for path in write_report(Path(folder)):
        print(path)
    return 0


def ledger(action: Literal["verify", "show"], path: str) -> int:
    """Check that no row of a ledger was edited, removed or added, or print its rows.

    Args:
        action: verify or show.
        path: The ledger file, or a folder that holds ledger.jsonl.
    """
    place = Path(path) / "ledger.jsonl" if Path(path).is_dir() else Path(path)
    book = Ledger(place)
    if action == "show":
        for row in book.rows():
            print(f"{row['index']:>5} {row['kind']:<6} {row['hash'][:12]} {row.get('stage') or row.get('arm') or ''}")
        return 0
    print(f"{place}: {book.verify()} rows verified")
    return 0
