"""What is known about a candidate model without target labels."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats, Ints, class_indices, matrix, probability_matrix, softmax


@dataclass(frozen=True, eq=False)
class Evidence:
    """Arrays that a validator may read. None of them holds a target label.

    ``target`` ``[n, K]`` are class probabilities on unlabeled target images and ``target_features`` ``[n, D]`` the
    pooled features of the same images. ``source`` ``[m, K]`` and ``source_labels`` ``[m]`` come from HELD-OUT source
    images. ``reference`` ``[n, K]`` are the source-only model's probabilities on the same target images.
    """

    target: Floats
    target_features: Floats | None = None
    source: Floats | None = None
    source_labels: Ints | None = None
    reference: Floats | None = None

    @classmethod
    def from_logits(
        cls,
        target: ArrayLike,
        *,
        features: ArrayLike | None = None,
        source: ArrayLike | None = None,
        source_labels: ArrayLike | None = None,
        reference: ArrayLike | None = None,
    ) -> Evidence:
        """Evidence from logits; features and labels as they are.

        Raises:
            UndefinedMetricError: arrays that are empty, not finite, or do not fit each other.
        """
        labels = None if source_labels is None else class_indices(source_labels, "source_labels", 2**31)
        return cls(
            softmax(target),
            None if features is None else matrix(features, "target_features"),
            None if source is None else softmax(source),
            labels,
            None if reference is None else softmax(reference),
        )

    def __post_init__(self) -> None:
        items, classes = probability_matrix(self.target, "target").shape
        if self.target_features is not None and len(matrix(self.target_features, "target_features")) != items:
            raise UndefinedMetricError(f"{len(self.target_features)} feature rows for {items} images")
        if self.reference is not None and probability_matrix(self.reference, "reference").shape != (items, classes):
            raise UndefinedMetricError(f"reference has shape {self.reference.shape}, not {(items, classes)}")
        if (self.source is None) != (self.source_labels is None):
            raise UndefinedMetricError("source probabilities and source labels come together", key="source")
        if self.source is not None and self.source_labels is not None:
            shape = probability_matrix(self.source, "source").shape
            labels = class_indices(self.source_labels, "source_labels", classes)
            if shape != (len(labels), classes):
                raise UndefinedMetricError(f"source has shape {shape}, not {(len(labels), classes)}", key="source")
