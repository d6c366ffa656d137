"""Score a checkpoint on the real test domain: the only place where test labels are compared with predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import TestDomainError
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain, TestDomain
from perceptransfer.learning import build_model, build_tasks, predict, predictor
from perceptransfer.metrics import GroupCounts, classification_scores, group_counts


@dataclass(frozen=True)
class Evaluation:
    """Scores of one checkpoint on one task.

    ``score`` is on the real test, ``score_synthetic`` on held-out synthetic images (``None`` without any).
    ``correct`` holds one character per test image, ``1`` where the prediction was right, and ``labels`` the class
    of each, so that intervals over test items or groups can be computed later without reading the test again.
    """

    task: str
    metric: str
    direction: str
    score: float
    score_synthetic: float | None
    per_class: dict[str, float | None]
    confusion: list[list[int]]
    ece: float
    n_test: int
    correct: str
    labels: list[int]
    groups: list[str] | None

    def counts(self) -> GroupCounts:
        """Right and wrong by test group (and class, for balanced accuracy), from which intervals are drawn."""
        values = [[float(character) for character in self.correct]]
        balanced = self.metric == "balanced_accuracy"
        return group_counts(values, groups=self.groups, classes=self.labels if balanced else None)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a results row."""
        return asdict(self)


def evaluate(checkpoint: Checkpoint, data: Mapping[str, Domain], *, seed: int = 0) -> Evaluation:
    """Score the checkpoint's first task; one read of the test domain.

    Raises:
        TestDomainError: ``data["test"]`` is not a test domain, or evaluation was called from within training.
    """
    test = data["test"]
    if not isinstance(test, TestDomain):
        raise TestDomainError("evaluation needs a test domain", remedy="prepare the data with TransferData")
    model, task = build_model(checkpoint, seed=seed), build_tasks(checkpoint)[0]
    with phase("evaluation"):
        outcome = test.evaluate(predictor(model, task.name))
        held_out = data.get("synthetic_val")
        score_synthetic = None
        if held_out is not None and len(held_out):
            score_synthetic = task.score(predict(model, held_out).outputs[task.name], held_out.labels)
    classes = test.classes
    predicted = outcome.logits.argmax(axis=1)
    scores = classification_scores(outcome.logits, outcome.labels)
    return Evaluation(
        task=task.name,
        metric=task.metric,
        direction=task.direction,
        score=task.score(outcome.logits, outcome.labels),
        score_synthetic=score_synthetic,
        per_class=dict(zip(classes, scores.per_class, strict=True)),
        confusion=scores.confusion.tolist(),
        ece=scores.ece,
        n_test=len(outcome.labels),
        correct="".join("1" if right else "0" for right in predicted == outcome.labels),
        labels=[int(label) for label in outcome.labels],
        groups=None if None in outcome.groups else [str(group) for group in outcome.groups],
    )
