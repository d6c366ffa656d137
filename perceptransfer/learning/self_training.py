"""Which predictions of a teacher to believe, and training on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perceptransfer.alignment import AlignmentLoss
from perceptransfer.core.features import SOURCE, TARGET
from perceptransfer.learning.optim import Optim
from perceptransfer.learning.supervised import Batch, NormMode, SupervisedModule
from perceptransfer.models import PerceptionModel
from perceptransfer.tasks import Task
from perceptransfer.weighting import Weighting


@dataclass(frozen=True)
class PseudoLabels:
    """Images that a round keeps: positions in the unlabeled domain ``[k]``, their labels ``[k]``, and a report."""

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    report: dict[str, Any]


def bar(confidence: NDArray[np.floating], keep: float, threshold: float) -> float:
    """Confidence from which on a prediction is kept: ``threshold``, or less where that keeps less than ``keep``."""
    return min(threshold, float(np.quantile(confidence, 1 - keep)))


def choose_pseudo_labels(
    labels: NDArray[np.int64],
    confidence: NDArray[np.floating],
    classes: Sequence[str],
    *,
    keep: float,
    threshold: float,
) -> PseudoLabels:
    """Keep the surest predictions class by class.

    Within each PREDICTED class all images with confidence of at least ``threshold`` are kept, or the share ``keep``
    of the class where that is more, so that a class about which the teacher is generally unsure does not vanish. The
    classes' own sizes are not evened out: nothing is assumed about how frequent each class is (Zou et al., ECCV 2018,
    normalise thresholds by class in the same way).
    """
    kept = np.zeros(len(labels), dtype=bool)
    shares: dict[str, float | None] = {}
    for index, name in enumerate(classes):
        mine = labels == index
        if not mine.any():
            shares[name] = None  # the teacher never predicts it: no share to speak of
            continue
        kept |= mine & (confidence >= bar(confidence[mine], keep, threshold))
        shares[name] = float(kept[mine].mean())
    indices = np.flatnonzero(kept)
    report = {
        "kept": float(kept.mean()),
        "kept_per_class": shares,
        "predicted_share": {name: float((labels == index).mean()) for index, name in enumerate(classes)},
        "mean_confidence": float(confidence.mean()),
    }
    return PseudoLabels(indices, labels[indices], report)


class SelfTrainingModule(SupervisedModule):
    """Source labels plus pseudo-labels, each stream's loss weighted, with an EMA of the weights as next teacher.

    An `AlignmentLoss` may go on acting between the source and the pseudo-labelled stream.
    """

    def __init__(
        self,
        model: PerceptionModel,
        tasks: Sequence[Task],
        optim: Optim,
        *,
        pseudo_weight: float,
        alignment: AlignmentLoss | None = None,
        alignment_weight: float = 1.0,
        norm: NormMode = "joint",
        ema_decay: float = 0.99,
        weighting: Weighting | None = None,
    ) -> None:
        super().__init__(
            model,
            tasks,
            optim,
            norm=norm,
            stream_weights={TARGET: pseudo_weight},
            ema_decay=ema_decay,
            weighting=weighting,
        )
        self.alignment, self.alignment_weight = alignment, alignment_weight

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features = self.features_of(batch)
        loss = self.weighted(self.task_losses(features, self.labelled(batch)))
        if self.alignment is not None:
            aligned = self.alignment(features[SOURCE], features[TARGET], progress=self.progress)
            loss = loss + self.alignment_weight * aligned
        return loss
