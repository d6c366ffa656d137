"""The real test: images and labels that can only be compared with a model's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.core.phase import current_phase
from perceptransfer.data.domain import Domain
from perceptransfer.data.source import ImageSet, Indices, Pixels

Predict = Callable[[Pixels], NDArray[np.floating]]


@dataclass(frozen=True)
class TestOutcome:
    """What a model said on the test domain, beside the truth: ``logits [n, K]``, ``labels int64 [n]``, groups."""

    __test__ = False

    logits: NDArray[np.floating]
    labels: NDArray[np.int64]
    groups: tuple[str | None, ...]


class TestDomain(Domain):
    """The real test images: nothing can be taken out of it, it can only be asked to judge a model.

    ``reads`` counts the judgements.
    """

    __test__ = False

    def __init__(self, images: ImageSet, indices: Indices | None = None, labels: Indices | None = None) -> None:
        """Take all images, or those at ``indices``, with their labels."""
        if labels is None:
            labels = images.labels if indices is None else images.labels[np.asarray(indices, dtype=np.int64)]
        super().__init__("test", images, indices, labels)
        self.reads = 0

    def evaluate(self, predict: Predict, batch_size: int = 500) -> TestOutcome:
        """Let ``predict`` turn ``uint8 [n, H, W, 3]`` into logits ``[n, K]`` and return them with the truth.

        Raises:
            TestDomainError: outside ``phase("evaluation")``.
            DataError: logits of another shape.
        """
        if current_phase() != "evaluation":
            self._refuse()
        self.reads += 1
        parts = []
        for start in range(0, len(self), batch_size):
            batch = self._images.images(self._indices[start : start + batch_size])
            logits = np.asarray(predict(batch))
            if logits.shape != (len(batch), len(self.classes)):
                raise DataError(
                    f"predictions of shape {logits.shape} for {len(batch)} images and {len(self.classes)} classes",
                    where="test",
                )
            parts.append(logits)
        assert self._labels is not None  # set by the constructor
        return TestOutcome(np.concatenate(parts), self._labels.copy(), self.groups)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Refused, in every phase."""
        self._refuse()

    def images(self, indices: Indices = ()) -> Pixels:
        """Refused, in every phase."""
        self._refuse()

    def with_labels(self, labels: Indices, indices: Indices | None = None, role: str = "pseudo") -> Domain:
        """Refused, in every phase."""
        self._refuse()

    def subset(self, indices: Indices) -> Domain:
        """Refused, in every phase."""
        self._refuse()

    def __getitem__(self, index: object) -> NoReturn:
        self._refuse()

    def __iter__(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TestDomainError(
            f"the test domain was touched in phase {current_phase()!r}",
            where="test",
            remedy='call evaluate(predict) inside phase("evaluation"); select on val or on label-free validators',
        )
