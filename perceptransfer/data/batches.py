"""Batches from several domains at once, each a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perceptransfer.core.errors import ConfigError, DataError, TestDomainError
from perceptransfer.core.features import IMAGE, KEYPOINTS, LABEL
from perceptransfer.core.seeding import derive_seed
from perceptransfer.data.augment import Augmentation, NoAugmentation, to_pixels, to_tensor
from perceptransfer.data.domain import Domain
from perceptransfer.data.real_test import TestDomain

IMAGE_STRONG, INDEX = "image_strong", "index"
Batch = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Stream:
    """How one domain enters a batch.

    ``augment`` makes ``image``; ``strong``, when given, makes ``image_strong`` out of that: the same view in another
    look, for consistency training. ``balanced`` draws every class equally often, whatever its share.
    """

    domain: Domain
    batch_size: int
    augment: Augmentation | None = None
    strong: Augmentation | None = None
    balanced: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.domain, TestDomain):
            raise TestDomainError(
                "the test domain cannot be trained on", where="test", remedy="use another domain for the stream"
            )
        if not len(self.domain):
            raise DataError("the domain is empty", where=self.domain.role, remedy="leave its stream out")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}", key="batch_size")
        if self.strong is not None and self.strong.moves:
            raise ConfigError(
                f"{type(self.strong).__name__} moves things, so that the two views would not match place by place",
                key="strong",
                remedy="use AppearanceAugmentation, or another that changes only the look",
            )


class Batches(Dataset[Batch]):
    """``steps`` batches ``{stream: {"image", "image_strong", "label", "mask", "depth", "keypoints", "index"}}``.

    Labels are there only where the domain has them; masks, depth and keypoints move with ``image``, and keypoints are
    given as shares of its width and height.

    Batch ``i`` depends on the seed, ``i`` and the rank, not on the batches before: any number of workers gives equal
    bits, and a run can be resumed in the middle. Every stream is reshuffled each time it has been gone through. With
    ``torch.distributed`` the ranks take different parts of one sequence, so Lightning must not add a sampler
    (``use_distributed_sampler=False``).
    """

    def __init__(self, streams: Mapping[str, Stream], steps: int, seed: int) -> None:
        self.streams, self.steps, self.seed = dict(streams), steps, seed
        self._sequences = {
            name: _sequence(stream, derive_seed("order", name, seed)) for name, stream in self.streams.items()
        }

    @property
    def rank(self) -> int:
        """This process's number; asked at every batch, because the set is made before the processes are."""
        return torch.distributed.get_rank() if _distributed() else 0

    @property
    def world(self) -> int:
        """Number of processes that share the batches."""
        return torch.distributed.get_world_size() if _distributed() else 1

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        if not 0 <= step < self.steps:
            raise IndexError(step)
        return {name: self._one(name, stream, step) for name, stream in self.streams.items()}

    def __iter__(self) -> Iterator[Batch]:
        return (self[step] for step in range(self.steps))

    def _one(self, name: str, stream: Stream, step: int) -> dict[str, Tensor]:
        start = (step * self.world + self.rank) * stream.batch_size
        indices = self._sequences[name](start, stream.batch_size)
        pixels = stream.domain.images(indices)
        seed = derive_seed("augment", name, self.seed, step, self.rank)
        augment = stream.augment or NoAugmentation()
        known = stream.domain.targets
        if known:
            image, moved = augment.labelled(pixels, known.take(indices), seed)
        else:
            image, moved = augment(pixels, seed), known
        batch = {IMAGE: image, INDEX: torch.from_numpy(indices)}
        batch |= {key: torch.from_numpy(values) for key, values in moved.arrays.items()}
        if KEYPOINTS in batch:
            batch[KEYPOINTS] = as_shares(batch[KEYPOINTS], stream.domain.size)
        if stream.strong is not None:
            batch[IMAGE_STRONG] = stream.strong(to_pixels(image), derive_seed("strong", seed))
        if stream.domain.has_labels:
            batch[LABEL] = torch.from_numpy(stream.domain.labels[indices])
        return batch


def batches(streams: Mapping[str, Stream], steps: int, seed: int, workers: int = 0) -> DataLoader[Batch]:
    """Loader over `Batches`, whatever the number of worker processes.

    Raises:
        ConfigError: no streams, or a negative number of steps.
    """
    if not streams or steps < 0:
        raise ConfigError(f"batches need at least one stream and no negative steps, got {len(streams)} and {steps}")
    return DataLoader(Batches(streams, steps, seed), batch_size=None, num_workers=workers)


def as_shares(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """Keypoints ``[..., 3]`` in pixels as shares of width and height: no head needs to know the image's size."""
    scale = keypoints.new_tensor([size[1], size[0]])
    return torch.cat([(keypoints[..., :2] + 0.5) / scale, keypoints[..., 2:]], -1)


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def eval_batches(domain: Domain, batch_size: int = 500) -> Iterator[dict[str, Tensor]]:
    """All images of a domain once, in order and as they are."""
    for start in range(0, len(domain), batch_size):
        indices = np.arange(start, min(start + batch_size, len(domain)))
        batch = {IMAGE: to_tensor(domain.images(indices)), INDEX: torch.from_numpy(indices)}
        if domain.has_labels:
            batch[LABEL] = torch.from_numpy(domain.labels[indices])
        yield batch


class _Shuffled:
    """Endless sequence over ``members``, a new permutation each time round, with random access."""

    def __init__(self, members: NDArray[np.int64], seed: int) -> None:
        self.members, self.seed = members, seed
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def __call__(self, start: int, count: int) -> NDArray[np.int64]:
        found = []
        while count > 0:
            round_, offset = divmod(start, len(self.members))
            part = self._round(round_)[offset : offset + count]
            found.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _round(self, number: int) -> NDArray[np.int64]:
        if self._latest is None or self._latest[0] != number:
            rng = np.random.default_rng(derive_seed(self.seed, number))
            self._latest = (number, rng.permutation(self.members))
        return self._latest[1]


class _Balanced:
    """Endless sequence in which every class comes once in every round of classes."""

    def __init__(self, labels: NDArray[np.int64], seed: int) -> None:
        classes = np.unique(labels)
        self._classes = _Shuffled(np.arange(len(classes)), derive_seed(seed, "classes"))
        self._members = [_Shuffled(np.flatnonzero(labels == c), derive_seed(seed, int(c))) for c in classes]

    def __call__(self, start: int, count: int) -> NDArray[np.int64]:
        order = self._classes(start, count)
        rounds = (start + np.arange(count)) // len(self._members)
        drawn = np.empty(count, dtype=np.int64)
        for number, member in enumerate(self._members):
            # A class is drawn once per round of classes, so its draw number is the number of that round.
            places = np.flatnonzero(order == number)
            if len(places):
                drawn[places] = member(int(rounds[places[0]]), len(places))
        return drawn


def _sequence(stream: Stream, seed: int) -> _Shuffled | _Balanced:
    if stream.balanced:
        return _Balanced(stream.domain.labels, seed)
    return _Shuffled(np.arange(len(stream.domain)), seed)
