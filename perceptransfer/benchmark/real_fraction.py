"""The real-data-fraction benchmark: score against the share of real labels, for every arm, resumable."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from perceptransfer.benchmark.cells import Cell, Cells
from perceptransfer.benchmark.description import RunDescription, Samples
from perceptransfer.benchmark.progress import GridProgress
from perceptransfer.benchmark.report import write_report
from perceptransfer.benchmark.rows import Row, append_rows, read_rows, row_to_json
from perceptransfer.benchmark.schedule import Scheduler, Work
from perceptransfer.benchmark.work import Outcome
from perceptransfer.core.config import config_of
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.data import Domain
from perceptransfer.learning import Runtime
from perceptransfer.pipeline import Store, machine, run_provenance

RESULTS, RUN, SAMPLES, LEDGER, STORE = "results.jsonl", "run.json", "samples.npz", "ledger.jsonl", "store"


class RealFractionBenchmark:
    """Runs a grid (`Grid`, `CrossTask`) into a folder.

    The folder holds ``results.jsonl`` (a row a cell), the ledger, the report's files and, unless ``store`` is given,
    the store of stages. Killed at any moment and started again it goes on where it was: finished stages stand in the
    store, finished cells in the results.
    """

    def __init__(
        self,
        grid: Cells,
        folder: Path,
        *,
        store: Path | None = None,
        jobs: int = 1,
        threads: int = 1,
        runtime: Runtime | None = None,
        minutes_per_label: float = 0.1,
        title: str | None = None,
        command: str | None = None,
    ) -> None:
        """Use ``jobs`` processes of ``threads`` threads each.

        ``minutes_per_label`` prices a label in the table, ``title`` heads the report.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.grid, self.folder, self.jobs, self.threads = grid, Path(folder), jobs, threads
        self.runtime = runtime or Runtime(accelerator="cpu")
        self.minutes_per_label, self.title = minutes_per_label, title
        self.command = command or shlex.join(["perceptransfer", *sys.argv[1:]])
        self.store = Store(store if store is not None else self.folder / STORE)
        self.ledger = Ledger(self.folder / LEDGER)
        self.results = self.folder / RESULTS
        self.setup = ""  # known when the images are read

    def run(self, *, quiet: bool = False) -> list[Row]:
        """Run what is not finished and write the report; rows of failed cells carry ``error``.

        Raises:
            ConfigError: the folder holds results of another configuration.
            DataError: the images cannot be used.
            OutputError: the folder cannot be written or the disk is full.
        """
        plans = {cell: self.grid.open(cell) for cell in self.grid.cells()}
        keys = {cell: [planned.key for planned in plan] for cell, (_, _, plan) in plans.items()}
        self.setup = self.grid.setup()
        finished = self._finished(keys)
        todo = [cell for cell in plans if cell not in finished]
        if todo:
            self.ledger.append("run", {"command": self.command, **run_provenance(self.grid, self.grid.data, None)})
            self._describe(next(iter(plans.values()))[1])
            work = Work.of(self.grid, todo)
            with GridProgress(work, quiet=quiet) as progress:

                def event(kind: str, content: Any) -> None:
                    if kind == "stage":
                        self.ledger.append("stage", content)
                    elif kind == "reused":
                        self.ledger.append("reused", self.store.get(content).provenance)
                    elif kind == "cell":
                        cell, outcome = content
                        self._record(cell, outcome, keys[cell])
                    progress.event(kind, content)

                Scheduler(self.grid, self.store, self.jobs, self.runtime, event, self.threads).run(work)
        if todo or not (self.folder / RUN).exists():
            self._describe(next(iter(plans.values()))[1])
        write_report(self.folder)
        return read_rows(self.results)

    def _finished(self, keys: dict[Cell, list[str]]) -> set[Cell]:
        """Cells with a good row for every task; other rows are dropped from the file, to be tried again."""
        if not self.results.exists():
            return set()
        rows = read_rows(self.results)
        scored = Counter(row.cell[1:] for row in rows if row.error is None)
        whole = {(cell.arm, cell.fraction, cell.seed): len(self.grid.tasks(cell)) for cell in keys}
        good = [row for row in rows if row.error is None and scored[row.cell[1:]] >= whole.get(row.cell[1:], 1)]
        finished = set()
        for row in good:
            cell = Cell(row.arm, row.fraction, row.seed)
            if row.setup != self.setup or (cell in keys and row.keys != keys[cell]):
                raise ConfigError(
                    f"holds results of other images, another pipeline or version (arm {row.arm}, seed {row.seed})",
                    where=self.results,
                    remedy="choose another --output, or delete this file; equal stages are not trained again",
                )
            finished.add(cell)
        if len(good) < len(rows):
            write_atomic(self.results, "".join(row_to_json(row) + "\n" for row in good))
        return finished

    def _record(self, cell: Cell, outcome: Outcome, keys: list[str]) -> None:
        domains = self.grid.domains(cell)
        labels = self.grid.uses_labels(cell)
        row: dict[str, Any] = {
            "arm": cell.arm,
            "fraction": cell.fraction,
            "seed": cell.seed,
            "n_real": len(domains["labeled"]) if labels else 0,
            "n_val": len(domains["val"]) if labels else 0,
            "keys": keys,
            "setup": self.setup,
            "error": outcome.error,
            **{name: value for name, value in outcome.content.items() if name != "tasks"},
        }
        scored = outcome.content.get("tasks") or [
            {"task": task.name, "metric": task.metric, "direction": task.direction} for task in self.grid.tasks(cell)
        ]
        first, *others = [Row(**row, **found) for found in scored]
        # The stages' reports and the read of the test belong to the cell, so they stand once.
        append_rows(self.results, [first, *(replace(other, report={}, test_reads=0) for other in others)])
        self.ledger.append(
            "cell",
            {
                **{name: row[name] for name in ("arm", "fraction", "seed", "n_real", "n_val", "keys", "error")},
                "score": first.score,
                "test": domains["test"].fingerprint,
                "test_reads": row.get("test_reads", 0),
            },
        )

    def _describe(self, domains: dict[str, Domain]) -> None:
        rows = read_rows(self.results) if self.results.exists() else []
        about = machine()
        before = RunDescription.load(self.folder / RUN).arms if (self.folder / RUN).exists() else {}
        commands = [row["command"] for row in self.ledger.rows() if row["kind"] == "run"] if rows else [self.command]
        RunDescription(
            command="\n".join(dict.fromkeys(commands)),
            config=yaml.safe_dump(config_of(self.grid), sort_keys=False),
            arms={**before, **self.grid.describe_arms()},
            data={**self.grid.data.describe(), **({"name": self.title} if self.title else {})},
            hardware={key: about[key] for key in ("system", "processor", "cores", "gpus", "python")},
            versions=about["libraries"],
            date=datetime.date.today().isoformat(),
            test_reads=sum(row.test_reads or 0 for row in rows),
            minutes_per_label={task.name: self.minutes_per_label for task in self.grid.pipeline.tasks},
            kind=self.grid.KIND,
            claims=self.grid.claims,
        ).save(self.folder / RUN)
        synthetic, real = domains["synthetic"], domains["unlabeled"]
        shown = [_spread(len(domain)) for domain in (synthetic, real)]
        Samples(
            synthetic=synthetic.images(shown[0]),
            real=real.images(shown[1]),
            synthetic_names=[synthetic.classes[i] for i in synthetic.labels[shown[0]]],
        ).save(self.folder / SAMPLES)


def _spread(count: int, shown: int = 24) -> np.ndarray[Any, np.dtype[np.int64]]:
    # Not the first ones: folders are sorted by class.
    return np.random.default_rng(0).permutation(count)[:shown]


def failures(rows: Iterable[Row]) -> list[Row]:
    """Rows of cells that failed."""
    return [row for row in rows if row.error is not None]
