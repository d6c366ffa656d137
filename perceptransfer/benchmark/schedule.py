"""Run the grid: every distinct stage once, as soon as its parent is there, in one or several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import torch

from perceptransfer.benchmark.cells import Cell, Cells
from perceptransfer.benchmark.work import Outcome, Worker, run_task, start
from perceptransfer.core.config import config_of
from perceptransfer.core.errors import OutputError, PerceptransferError
from perceptransfer.learning import Runtime
from perceptransfer.pipeline import Store


class _Here(Executor):
    """One job needs no other process: a task is done when it is submitted."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        cell, index = args
        future: Future[Outcome] = Future()
        future.set_result(self.worker.score(cell) if index is None else self.worker.stage(cell, index))
        return future


@dataclass
class Node:
    """A stage that some cells share: where to find it, what waits for it, and what it costs in steps."""

    cell: Cell
    index: int
    parent: str | None
    steps: int


@dataclass
class Work:
    """All distinct stages of the unfinished cells, by key, and each cell's chain of keys."""

    nodes: dict[str, Node] = field(default_factory=dict)
    chains: dict[Cell, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Cells, cells: list[Cell]) -> Work:
        """Plan the cells without running anything."""
        work = cls()
        for cell in cells:
            plan = grid.open(cell)[2]
            work.chains[cell] = [planned.key for planned in plan]
            for index, planned in enumerate(plan):
                work.nodes.setdefault(planned.key, Node(cell, index, planned.parent, planned.stage.total_steps))
        return work


Event = Callable[[str, Any], None]


class Scheduler:
    """Keeps ``jobs`` processes busy.

    ``event`` is called in this process with ``("stage", provenance)`` after a stage was trained, ``("reused", key)``
    when the store had it, and ``("cell", (cell, outcome))`` after a cell was scored or given up.
    """

    def __init__(self, grid: Cells, store: Store, jobs: int, runtime: Runtime, event: Event, threads: int = 1) -> None:
        self.grid, self.store, self.jobs, self.event = grid, store, jobs, event
        self.runtime, self.threads = runtime, threads
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        self.running: dict[Future[Outcome], tuple[Cell, str | None]] = {}

    def run(self, work: Work) -> None:
        """Train and score everything.

        Raises:
            OutputError: nothing more can be written; what is finished stays.
            PerceptransferError: a process died.
        """
        for key in work.nodes:
            if self.store.find(key) is not None:
                self.done.add(key)
                self.event("reused", key)
        waiting = dict(work.nodes)
        unscored = dict(work.chains)
        with self._executor() as executor:
            while True:
                self._submit(executor, waiting, unscored)
                if not self.running:
                    return
                finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._finish(future)

    def _submit(self, executor: Executor, waiting: dict[str, Node], unscored: dict[Cell, list[str]]) -> None:
        for cell, chain in list(unscored.items()):
            broken = [self.failed[key] for key in chain if key in self.failed]
            if broken:
                del unscored[cell]
                self.event("cell", (cell, Outcome({}, error=broken[0])))
            elif self.done.issuperset(chain) and len(self.running) < 2 * self.jobs:
                del unscored[cell]
                self.running[executor.submit(run_task, cell, None)] = (cell, None)
        for key, node in list(waiting.items()):
            if key in self.done or node.parent in self.failed:
                del waiting[key]
                if key not in self.done:
                    self.failed[key] = self.failed[str(node.parent)]
            elif (node.parent is None or node.parent in self.done) and len(self.running) < self.jobs:
                del waiting[key]
                self.running[executor.submit(run_task, node.cell, node.index)] = (node.cell, key)
        if not self.running and unscored:
            # Failures found in this very pass free the cells that wait for them.
            self._submit(executor, waiting, unscored)

    def _finish(self, future: Future[Outcome]) -> None:
        cell, key = self.running.pop(future)
        try:
            outcome = future.result()
        except BrokenProcessPool as error:
            raise PerceptransferError(
                "a process of the grid died (killed, or out of memory)",
                remedy="run the same command again, with fewer --jobs if memory is short; finished cells are kept",
            ) from error
        if outcome.fatal:
            raise OutputError(outcome.error or "cannot write", remedy="free disk space and run the same command again")
        if key is None:
            self.event("cell", (cell, outcome))
        elif outcome.error is None:
            self.done.add(key)
            self.event("stage", outcome.content)
        else:
            self.failed[key] = outcome.error

    @contextlib.contextmanager
    def _executor(self) -> Iterator[Executor]:
        if self.jobs == 1:
            threads = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            try:
                yield _Here(Worker(self.grid, self.store.root, self.runtime))
            finally:
                torch.set_num_threads(threads)
            return
        # Spawned, not forked: a fork of a process that has used torch may hang in its thread pools.
        pool = ProcessPoolExecutor(
            self.jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start,
            initargs=(config_of(self.grid), str(self.store.root), self.runtime, self.threads),
        )
        children: list[Any] = []
        try:
            yield pool
            pool.shutdown()
        except BaseException:
            children = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.kill()  # Lightning would catch a SIGTERM; the store's writes are whole or absent either way
            raise
