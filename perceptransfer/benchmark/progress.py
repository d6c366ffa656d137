"""How far the grid is and how long it will take: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from perceptransfer.benchmark.schedule import Work

EVERY_SECONDS = 15.0


class GridProgress:
    """Counts optimiser steps, since stages differ in length, and cells."""

    def __init__(self, work: Work, *, quiet: bool = False) -> None:
        self.steps = {key: max(1, node.steps) for key, node in work.nodes.items()}
        self.cells, self.stages = len(work.chains), len(work.nodes)
        self.done_cells = self.done_stages = self.reused = self.done_steps = self.trained_steps = 0
        self.console = Console(stderr=True, quiet=quiet)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.started = self.printed = time.monotonic()

    def __enter__(self) -> GridProgress:
        self.bar.start()
        self.task = self.bar.add_task(self._text(), total=sum(self.steps.values()))
        self.console.print(f"{self.cells} cells need {self.stages} distinct stages")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()
        self.console.print(
            f"{self.done_cells} of {self.cells} cells, {self.done_stages} stages trained, {self.reused} reused, "
            f"{time.monotonic() - self.started:.0f} s"
        )

    def event(self, kind: str, content: Any) -> None:
        """Take a `Scheduler` event."""
        if kind == "cell":
            cell, outcome = content
            self.done_cells += 1
            if outcome.error is not None:
                self.console.print(
                    f"failed: arm {cell.arm}, fraction {cell.fraction}, seed {cell.seed}: {outcome.error}"
                )
        else:
            key = content if kind == "reused" else content["key"]
            self.reused += kind == "reused"
            self.done_stages += kind == "stage"
            self.done_steps += self.steps[key]
            self.trained_steps += self.steps[key] if kind == "stage" else 0
            self.bar.advance(self.task, self.steps[key])
        self.bar.update(self.task, description=self._text())
        self._line()

    def _text(self) -> str:
        return f"cells {self.done_cells}/{self.cells}, stages {self.done_stages + self.reused}/{self.stages}"

    def _line(self) -> None:
        now = time.monotonic()
        if self.console.is_terminal or now - self.printed < EVERY_SECONDS:
            return
        self.printed = now
        total = sum(self.steps.values())
        # What the store had cost nothing, so it says nothing about the time that is left.
        pace = (now - self.started) / self.trained_steps if self.trained_steps else None
        left = "" if pace is None else f", about {(total - self.done_steps) * pace:.0f} s left"
        self.console.print(f"{self._text()}, {self.done_steps / total:.0%} of the steps{left}")
