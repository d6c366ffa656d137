"""Score a checkpoint on the real test domain: the only place where test labels are compared with predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import TestDomainError
from perceptransfer.core.features import LABEL
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain, TestDomain, TestOutcome
from perceptransfer.learning import answer, answerer, build_model, build_tasks
from perceptransfer.metrics import GroupCounts, Tally, classification_scores, group_counts
from perceptransfer.tasks import Task


@dataclass(frozen=True)
class Evaluation:
    """Scores of one checkpoint on one task.

    ``score`` is on the real test, ``score_synthetic`` on held-out synthetic images (``None`` without any),
    ``per_class`` on the test images of each class, ``details`` further numbers of the task on the real test. What
    intervals over test items or groups need later, without reading the test again, is for classification ``correct``,
    one character an image, ``1`` where the prediction was right, and ``labels``, the class of each; for other tasks
    ``hits`` and ``totals`` ``[n][C]``, see `metrics.Tally`. ``others`` are the model's further tasks.
    """

    task: str
    metric: str
    direction: str
    score: float
    score_synthetic: float | None
    per_class: dict[str, float | None]
    n_test: int
    groups: list[str] | None
    details: dict[str, float | None] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    ece: float | None = None
    correct: str | None = None
    labels: list[int] | None = None
    hits: list[list[float]] | None = None
    totals: list[list[float]] | None = None
    others: tuple[Evaluation, ...] = ()

    def counts(self) -> GroupCounts:
        """Sums by test group (and class, for balanced accuracy), from which intervals are drawn."""
        if self.correct is None:
            return Tally(np.array(self.hits), np.array(self.totals)).counts(self.groups)
        values = [[float(character) for character in self.correct]]
        balanced = self.metric == "balanced_accuracy"
        return group_counts(values, groups=self.groups, classes=self.labels if balanced else None)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a results row, without ``others``."""
        plain = asdict(replace(self, others=()))
        del plain["others"]
        return plain


def evaluate(checkpoint: Checkpoint, data: Mapping[str, Domain], *, seed: int = 0) -> Evaluation:
    """Score all tasks of a checkpoint by one read of the test domain; the first is returned with the others in it.

    Raises:
        TestDomainError: ``data["test"]`` is not a test domain, or evaluation was called from within training.
        DataError: a task whose labels a domain lacks.
    """
    test = data["test"]
    if not isinstance(test, TestDomain):
        raise TestDomainError("evaluation needs a test domain", remedy="prepare the data with TransferData")
    model, tasks = build_model(checkpoint, seed=seed), build_tasks(checkpoint)
    with phase("evaluation"):
        outcome = test.evaluate(answerer(model, tasks, test.size))
        held_out, synthetic = data.get("synthetic_val"), {}
        if held_out is not None and len(held_out):
            answers = answer(model, tasks, held_out)
            synthetic = {
                task.name: task.score(answers[task.name], held_out.target(task.label_key), held_out.size)
                for task in tasks
            }
    found = [_evaluation(task, outcome, test.classes, test.size, synthetic.get(task.name)) for task in tasks]
    return replace(found[0], others=tuple(found[1:]))


def _evaluation(
    task: Task, outcome: TestOutcome, classes: Sequence[str], size: tuple[int, int], synthetic: float | None
) -> Evaluation:
    said, truth, labels = outcome.outputs[task.name], outcome.of(task.label_key), outcome.truth[LABEL]
    tally = task.tally(said, truth, size)
    common: dict[str, Any] = {
        "task": task.name,
        "metric": task.metric,
        "direction": task.direction,
        "score": tally.score(),
        "score_synthetic": synthetic,
        "n_test": len(labels),
        "details": dict(task.details(said, truth, size)),
        "groups": None if None in outcome.groups else [str(group) for group in outcome.groups],
    }
    if task.label_key != LABEL:
        per_class = {name: _mean(tally, labels == index) for index, name in enumerate(classes)}
        return Evaluation(**common, per_class=per_class, hits=tally.hits.tolist(), totals=tally.totals.tolist())
    scores = classification_scores(said, labels)
    return Evaluation(
        **common,
        per_class=dict(zip(classes, scores.per_class, strict=True)),
        confusion=scores.confusion.tolist(),
        ece=scores.ece,
        correct="".join("1" if right else "0" for right in said.argmax(axis=1) == labels),
        labels=[int(label) for label in labels],
    )


def _mean(tally: Tally, chosen: Any) -> float | None:
    known = [value for value in Tally(tally.hits[chosen], tally.totals[chosen]).per_class() if value is not None]
    return float(np.mean(known)) if known else None
