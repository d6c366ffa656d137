"""The cross-task matrix: an encoder pretrained on task i, fine-tuned on task j with few real labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from perceptransfer.benchmark.arms import ARMS
from perceptransfer.benchmark.cells import Cell, Cells
from perceptransfer.core.config import evolve
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import TransferData
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Finetune, Pretrain
from perceptransfer.tasks import Task

SCRATCH, NONE, ARROW = "scratch", "none", " → "


class CrossTask(Cells):
    """Every pair (i, j) at every fraction with every seed; an arm is called ``i → j``.

    ``pipeline`` has all tasks, a pretraining on synthetic images and a fine-tuning on real labels. Row i → j pretrains
    encoder and head on task i alone and fine-tunes on task j alone: with i = j that is the single-task model, which
    keeps its head, else the head is new. ``none → j`` fine-tunes a random encoder, so it has fewer steps than the
    others. ``scratch → j`` trains by the recipe of pretraining on the real labels of j alone, with the steps of both
    stages: the baseline of equal budget. Fine-tuning sees the real labels only: no synthetic image, no pseudo-label.

    ``sources`` and ``targets`` choose tasks i and j (default: all); a column is finished before the next begins.
    ``claims`` names arms whose gain was claimed before the run; the report says whether it is confirmed.

    Raises:
        FractionError: a fraction of 0, or outside 0..1.
        ConfigError: other stages, an unknown task, a task with a reserved name, or a claim about a pair not run.
    """

    KIND: ClassVar[str] = "cross_task"

    def __init__(
        self,
        data: TransferData,
        pipeline: Pipeline,
        sources: list[str] | None = None,
        targets: list[str] | None = None,
        fractions: list[float] | None = None,
        seeds: list[int] | None = None,
        claims: list[str] | None = None,
    ) -> None:
        extra = [name for name, stage in pipeline.stages.items() if stage and name not in ("pretrain", "finetune")]
        if extra:
            raise ConfigError(f"a matrix has no place for {extra}", key="pipeline", remedy="set these stages to null")
        tasks = {task.name: task for task in pipeline.tasks}
        if {SCRATCH, NONE} & set(tasks):
            raise ConfigError(f"tasks cannot be called {SCRATCH} or {NONE}", key="tasks", remedy="give another name")
        rows = _known([*tasks, NONE] if sources is None else sources, [*tasks, NONE], "sources")
        columns = _known(list(tasks) if targets is None else targets, list(tasks), "targets")
        super().__init__(
            data,
            pipeline,
            {
                f"{row}{ARROW}{column}": _pipeline(pipeline, tasks.get(row), tasks[column], scratch=row == SCRATCH)
                for column in columns
                for row in (SCRATCH, *rows)
            },
            [0.01, 0.1] if fractions is None else fractions,
            list(range(6)) if seeds is None else seeds,
        )
        if self.fractions[0] == 0:
            raise ConfigError("a new task needs labels", key="fractions", remedy="give fractions above 0")
        self.claims = _known(claims or [], list(self.pipelines), "claims")

    def cells(self) -> Iterator[Cell]:
        for column in dict.fromkeys(arm.partition(ARROW)[2] for arm in self.pipelines):
            for seed in self.seeds:
                for arm in (arm for arm in self.pipelines if arm.partition(ARROW)[2] == column):
                    yield from (Cell(arm, fraction, seed) for fraction in self.fractions)

    def tasks(self, cell: Cell) -> list[Task]:
        name = cell.arm.partition(ARROW)[2]
        return [task for task in self.pipeline.tasks if task.name == name]

    def describe_arms(self) -> dict[str, str]:
        """Stages and steps of each arm."""
        return {
            arm: " + ".join(
                f"{stage.total_steps} steps on {'synthetic' if 'synthetic' in stage.reads else 'real'} images"
                for stage in pipeline.stages.values()
                if stage is not None
            )
            for arm, pipeline in self.pipelines.items()
        }


def _pipeline(whole: Pipeline, source: Task | None, target: Task, *, scratch: bool) -> Pipeline:
    plain = {"replay_weight": 0.0, "pseudo_weight": 0.0, "rounds": 1}
    pretrain = evolve(whole.part(Pretrain), roles=["synthetic"])
    finetune = evolve(whole.part(Finetune), **plain)
    whole = evolve(whole, tasks=[target], pretrain=pretrain, finetune=finetune)
    if scratch:
        return ARMS["A+"].build(whole)
    if source is None:
        return evolve(whole, pretrain=None)
    if source is target:
        return whole
    return evolve(whole, tasks=[source], finetune=evolve(finetune, tasks=[target]))


def _known(names: list[str], known: list[str], key: str) -> list[str]:
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown {name!r}", key=key, remedy=f"choose among {', '.join(known)}")
    return list(dict.fromkeys(names))
