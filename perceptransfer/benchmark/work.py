"""What one process of the grid does: train one stage or score one cell."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perceptransfer.benchmark.cells import Cell, Cells
from perceptransfer.core.config import instantiate
from perceptransfer.core.errors import OutputError, PerceptransferError
from perceptransfer.learning import Runtime
from perceptransfer.pipeline import Store, evaluate


@dataclass(frozen=True)
class Outcome:
    """``content`` on success; otherwise ``error``, and ``fatal`` where going on makes no sense (full disk)."""

    content: dict[str, Any]
    error: str | None = None
    fatal: bool = False


class Worker:
    """Holds the grid's data between tasks, so that images are read once a process."""

    def __init__(self, grid: Cells, store: Path, runtime: Runtime | None = None) -> None:
        self.grid, self.store = grid, Store(store)
        self.runtime = runtime or Runtime(accelerator="cpu")

    def stage(self, cell: Cell, index: int) -> Outcome:
        """Train the ``index``-th stage of a cell's plan; its parent stands in the store."""

        def work() -> dict[str, Any]:
            pipeline, domains, plan = self.grid.open(cell)
            return pipeline.run_stage(plan[index], domains, self.store, self.runtime)

        return _guarded(work)

    def score(self, cell: Cell) -> Outcome:
        """Score a cell whose stages all stand in the store."""

        def work() -> dict[str, Any]:
            started = time.perf_counter()
            _, domains, plan = self.grid.open(cell)
            entries = [self.store.get(planned.key) for planned in plan]
            reads = domains["test"].reads
            evaluation = evaluate(entries[-1].checkpoint, domains)
            return {
                "tasks": [scored.as_dict() for scored in (evaluation, *evaluation.others)],
                "report": {planned.name: entry.report for planned, entry in zip(plan, entries, strict=True)},
                "seconds": round(time.perf_counter() - started, 3),
                "train_seconds": round(sum(entry.provenance["seconds"] for entry in entries), 3),
                "test_reads": domains["test"].reads - reads,
            }

        return _guarded(work)


def _guarded(work: Any) -> Outcome:
    try:
        return Outcome(work())
    except PerceptransferError as error:
        return Outcome({}, error=f"{type(error).__name__}: {error}", fatal=isinstance(error, OutputError))
    except Exception as error:
        # A cell that breaks becomes a row with its error; the others go on.
        return Outcome({}, error=f"{type(error).__name__}: {error}")


_worker: Worker | None = None


def start(grid: dict[str, Any], store: str, runtime: Runtime, threads: int) -> None:
    """Initialise a worker process."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _worker = Worker(instantiate(grid), Path(store), runtime)


def _exit_with_parent() -> None:
    # After kill -9 of the parent nobody would read the result; without this the process would stay behind. The pipe
    # to the parent tells it also of a death before this line; the parent's number would not.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_task(cell: Cell, index: int | None) -> Outcome:
    """Entry of a task in a worker process; ``index=None`` scores."""
    if _worker is None:
        raise RuntimeError("start() has not run in this process")
    return _worker.score(cell) if index is None else _worker.stage(cell, index)
