"""The real test: images and labels that can only be compared with a model's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.core.features import LABEL
from perceptransfer.core.phase import current_phase
from perceptransfer.data.domain import Domain
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.record import Indices, Pixels
from perceptransfer.data.targets import Targets

Outputs = Mapping[str, NDArray[Any]]
Predict = Callable[[Pixels], Outputs]


@dataclass(frozen=True)
class TestOutcome:
    """What a model said on the test domain, by task, beside the truth by label key, and the images' groups."""

    __test__ = False

    outputs: Mapping[str, NDArray[Any]]
    truth: Mapping[str, NDArray[Any]]
    groups: tuple[str | None, ...]

    def of(self, key: str) -> NDArray[Any]:
        """Truth of one kind.

        Raises:
            DataError: the test images have no such labels.
        """
        if key not in self.truth:
            raise DataError(
                f"the real test has no labels of the kind {key!r}, only {sorted(self.truth)}",
                where="test",
                key=key,
                remedy="give a source with such labels, or leave out the task that needs them",
            )
        return self.truth[key]


class TestDomain(Domain):
    """The real test images: nothing can be taken out of it, it can only be asked to judge a model.

    ``reads`` counts the judgements.
    """

    __test__ = False

    def __init__(self, images: ImageSet, indices: Indices | None = None, labels: Indices | None = None) -> None:
        """Take all images, or those at ``indices``, with their labels."""
        if labels is None:
            labels = images.labels if indices is None else images.labels[np.asarray(indices, dtype=np.int64)]
        targets = images.targets if indices is None else images.targets.take(indices)
        super().__init__("test", images, indices, labels, targets)
        self.reads = 0

    def evaluate(self, predict: Predict, batch_size: int = 500) -> TestOutcome:
        """Let ``predict`` turn ``uint8 [n, H, W, 3]`` into outputs ``[n, ...]`` by task, returned with the truth.

        Raises:
            TestDomainError: outside ``phase("evaluation")``.
            DataError: outputs for another number of images.
        """
        if current_phase() != "evaluation":
            self._refuse()
        self.reads += 1
        parts = []
        for start in range(0, len(self), batch_size):
            batch = self._images.images(self._indices[start : start + batch_size])
            outputs = {task: np.asarray(output) for task, output in predict(batch).items()}
            for task, output in outputs.items():
                if len(output) != len(batch):
                    raise DataError(f"{len(output)} predictions for {len(batch)} images", where=f"test, task {task}")
            parts.append(outputs)
        assert self._labels is not None  # set by the constructor
        truth = {LABEL: self._labels.copy(), **{key: a.copy() for key, a in self._targets.arrays.items()}}
        return TestOutcome(
            {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}, truth, self.groups
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        """Refused, in every phase."""
        self._refuse()

    @property
    def targets(self) -> Targets:
        """Refused, in every phase."""
        self._refuse()

    def target(self, key: str) -> NDArray[Any]:
        """Refused, in every phase."""
        self._refuse()

    def images(self, indices: Indices = ()) -> Pixels:
        """Refused, in every phase."""
        self._refuse()

    def with_labels(
        self,
        labels: Indices | None,
        indices: Indices | None = None,
        role: str = "pseudo",
        targets: Targets | None = None,
    ) -> Domain:
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
