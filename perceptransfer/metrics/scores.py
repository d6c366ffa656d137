"""Scores of a classifier on one labelled set.

``scores`` is ``[n, K]``: logits or probabilities, where only the largest entry of a row counts. ``labels`` is
``[n]``, integers in ``0 .. K - 1``. All functions raise `UndefinedMetricError` on empty, non-finite or
mismatching input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Ints, class_indices, matrix, probability_matrix, softmax


class WorstClass(NamedTuple):
    """The class with the lowest recall."""

    label: int
    score: float


@dataclass(frozen=True)
class ClassificationScores:
    """All scores of one model on one set; ``per_class`` holds ``None`` for a class without items."""

    accuracy: float
    balanced_accuracy: float
    per_class: tuple[float | None, ...]
    worst: WorstClass
    ece: float
    confusion: Ints
    n: int


def confusion_matrix(scores: ArrayLike, labels: ArrayLike) -> Ints:
    """``[K, K]`` counts: rows are true classes, columns predicted ones. A tie goes to the lower class index."""
    array = matrix(scores, "scores")
    classes = array.shape[1]
    truth = class_indices(labels, "labels", classes)
    if len(truth) != len(array):
        raise UndefinedMetricError(f"{len(array)} rows of scores for {len(truth)} labels", key="labels")
    flat = np.bincount(truth * classes + array.argmax(axis=1), minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Share of items whose largest score is that of their class, 0 to 1."""
    confusion = confusion_matrix(scores, labels)
    return float(np.trace(confusion) / confusion.sum())


def per_class(scores: ArrayLike, labels: ArrayLike) -> tuple[float | None, ...]:
    """Recall of each class, 0 to 1; ``None`` where the class has no items."""
    return _recalls(confusion_matrix(scores, labels))


def balanced_accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean recall over the classes that have items, 0 to 1 (Brodersen et al., ICPR 2010)."""
    return float(np.mean([recall for recall in per_class(scores, labels) if recall is not None]))


def worst_class(scores: ArrayLike, labels: ArrayLike) -> WorstClass:
    """The class with the lowest recall among those that have items; the lowest index on a tie."""
    return _worst(per_class(scores, labels))


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equal-width confidence bins, weighted by bin size, 0 to 1.

    Bin m holds confidences in ``((m-1)/bins, m/bins]`` (Guo et al., "On Calibration of Modern Neural Networks",
    ICML 2017, eq. 3).
    """
    array = probability_matrix(probabilities, "probabilities")
    truth = class_indices(labels, "labels", array.shape[1])
    if len(truth) != len(array) or bins < 1:
        raise UndefinedMetricError(f"{len(array)} rows for {len(truth)} labels in {bins} bins", key="labels")
    confidence = array.max(axis=1)
    surplus = confidence - (array.argmax(axis=1) == truth)
    inner_edges = np.linspace(0, 1, bins + 1)[1:-1]
    sums = np.bincount(np.digitize(confidence, inner_edges, right=True), weights=surplus, minlength=bins)
    return float(np.abs(sums).sum() / len(array))


def classification_scores(logits: ArrayLike, labels: ArrayLike) -> ClassificationScores:
    """Everything above from LOGITS ``[n, K]`` and labels ``[n]``."""
    confusion = confusion_matrix(logits, labels)
    recalls = _recalls(confusion)
    return ClassificationScores(
        accuracy=float(np.trace(confusion) / confusion.sum()),
        balanced_accuracy=float(np.mean([recall for recall in recalls if recall is not None])),
        per_class=recalls,
        worst=_worst(recalls),
        ece=expected_calibration_error(softmax(logits), labels),
        confusion=confusion,
        n=int(confusion.sum()),
    )


def _recalls(confusion: Ints) -> tuple[float | None, ...]:
    totals = confusion.sum(axis=1)
    return tuple(float(confusion[k, k] / total) if total else None for k, total in enumerate(totals))


def _worst(recalls: tuple[float | None, ...]) -> WorstClass:
    label, score = min(
        ((k, recall) for k, recall in enumerate(recalls) if recall is not None), key=lambda item: item[1]
    )
    return WorstClass(label, score)
