"""Tasks learnt together against each of them learnt alone, at equal images, batch size and steps.

``python benchmarks/multi_task/compare.py --config benchmarks/multi_task/lmo.yaml`` takes the data and pipeline of
any configuration; every option can be given on the command line, ``--seeds "[0,1,2,3,4,5]"`` for example. Each model is
trained in a process of its own, so that its peak memory is its own. Writes into ``--output``: ``rows.jsonl``, one row a
model and seed (the same command goes on after an interruption), ``table.md`` and ``interference.png``. Scores are those
after the last stage, on the real test and on held-out synthetic images.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from _picture import picture
from _tables import table
from jsonargparse import auto_cli

from perceptransfer.core.config import config_of, evolve, fingerprint, instantiate
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.core.seeding import seed_everything
from perceptransfer.data import TransferData
from perceptransfer.learning import Runtime
from perceptransfer.pipeline import Pipeline
from perceptransfer.weighting import Static, Weighting, weightings

Row = dict[str, Any]


def with_weighting(pipeline: Pipeline, weighting: Weighting) -> Pipeline:
    """The pipeline with this weighting in every stage that takes one."""
    stages = {
        name: evolve(stage, weighting=weighting)
        for name, stage in pipeline.stages.items()
        if stage is not None and hasattr(stage, "weighting")
    }
    return evolve(pipeline, **stages)


def arms(pipeline: Pipeline, methods: list[str]) -> dict[str, Pipeline]:
    """One model of all tasks for each weighting, and one model for each task, by name."""
    together = {
        f"together: {name}": with_weighting(pipeline, weightings()[name]() if name in weightings() else named(name))
        for name in methods
    }
    return together | {f"alone: {task.name}": evolve(pipeline, tasks=[task]) for task in pipeline.tasks}


def named(path: str) -> Weighting:
    """A user's own weighting by import path."""
    made: Weighting = instantiate({"class_path": path})
    return made


STATUS = Path("/proc/self/status")


def forget_peak() -> None:
    """Let the peak begin at what is held now: reading images takes more than a small network does. Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest memory that was held: of the GPU where there is one, else of this process since `forget_peak`."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    if STATUS.exists():
        return float(STATUS.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else 2**20)


def train(config: dict[str, Any], seed: int, accelerator: str, threads: int) -> Row:
    """Run one pipeline and score all its tasks on the test images; runs in a process of its own."""
    torch.set_num_threads(threads)
    data, pipeline = instantiate(config["data"]), instantiate(config["pipeline"])
    data.prepare(seed)
    seed_everything(seed)
    forget_peak()
    before, started = peak_mib(), time.process_time()
    spent = (0.0, before)

    def note(stage: str, step: int, steps: int) -> None:
        # Training alone: scoring has another peak. Seconds of a busy machine say nothing, hence those of the processor.
        nonlocal spent
        spent = (time.process_time() - started, peak_mib())

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        runtime = Runtime(accelerator, progress=note)
        result = pipeline.run(data, seed=seed, ledger=ledger, runtime=runtime, evaluate_stages=False)
        seconds = sum(row["seconds"] for row in ledger.rows() if row["kind"] == "stage")
    last = list(result.evaluations.values())[-1]
    scores = {
        found.task: {
            "metric": found.metric,
            "direction": found.direction,
            "real": found.score,
            "synthetic": found.score_synthetic,
        }
        for found in (last, *last.others)
    }
    log = {name: report["multi_task"] for name, report in result.reports.items() if "multi_task" in report}
    cost = {"cpu_seconds": spent[0], "seconds": seconds, "peak_mib": spent[1], "before_mib": before}
    return {"seed": seed, "scores": scores, **cost, "log": log}


def finished(path: Path) -> list[Row]:
    """Rows of earlier runs; a last line without its end is what a killed run left, and is cut off."""
    if not path.exists():
        return []
    whole, _, torn = path.read_text().rpartition("\n")
    if torn:
        write_atomic(path, whole + "\n" * bool(whole))
    return [json.loads(line) for line in whole.splitlines()]


def main(
    data: TransferData,
    pipeline: Pipeline,
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    output: str = "results/multi_task",
    accelerator: str = "cpu",
    threads: int = 1,
    jobs: int = 1,
) -> None:
    """Compare.

    Args:
        data: Synthetic and real images; the test images are the real source's.
        pipeline: Encoder, all tasks, and the stages to run.
        methods: Weightings of the models of all tasks; null for the plain sum alone.
        seeds: Seeds; null means 0, 1 and 2.
        output: Folder of rows and table.
        accelerator: Lightning's accelerator.
        threads: Threads of a training process.
        jobs: Models trained at once.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    rows = finished(path)
    compared = arms(pipeline, methods or [Static.__name__])
    keys = {name: fingerprint([data, arm, accelerator, threads]) for name, arm in compared.items()}
    seeds = seeds or [0, 1, 2]
    done = {(row["key"], row["seed"]) for row in rows}
    # A new process for each, so that one model's peak memory does not hide another's.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        running: dict[Future[Row], str] = {}
        for seed in seeds:
            for name, arm in compared.items():
                if (keys[name], seed) not in done:
                    config = {"data": config_of(data), "pipeline": config_of(arm)}
                    running[pool.submit(train, config, seed, accelerator, threads)] = name
        for future in as_completed(running):
            name = running[future]
            row: Row = {"arm": name, "key": keys[name]} | future.result()
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            real = {task: round(found["real"], 3) for task, found in row["scores"].items()}
            print(name, row["seed"], real, flush=True)
    wanted = [row for name in compared for row in rows if row["key"] == keys[name] and row["seed"] in seeds]
    text = table(wanted)
    (folder / "table.md").write_text(text)
    (folder / "interference.png").write_bytes(picture(wanted))
    print(text)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
