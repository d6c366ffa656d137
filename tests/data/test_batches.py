"""Batches depend on seed and step alone."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data import (
    AppearanceAugmentation,
    Batches,
    Domain,
    ImageSet,
    NoAugmentation,
    Stream,
    StrongAugmentation,
    WeakAugmentation,
    batches,
    eval_batches,
)


def numbered(count: int, classes: int = 3) -> Domain:
    """Images whose first pixel is their number, with unequal classes."""
    pixels = np.full((count, 8, 8, 3), 128, np.uint8)
    pixels[:, 0, 0, 0] = np.arange(count)
    labels = np.minimum(np.arange(count) % (classes + 2), classes - 1)
    images = ImageSet.from_arrays(pixels, labels, [str(i) for i in range(classes)])
    return Domain("labeled", images, None, labels)


@pytest.fixture
def streams(image_set: ImageSet) -> dict[str, Stream]:
    return {
        "source": Stream(Domain("synthetic", image_set, None, image_set.labels), 5, WeakAugmentation(), balanced=True),
        "target": Stream(Domain("unlabeled", image_set), 4, WeakAugmentation(), AppearanceAugmentation()),
    }


def equal(first: object, second: object) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    return torch.equal(first, second)


def test_shape(streams: dict[str, Stream], image_set: ImageSet) -> None:
    batch = Batches(streams, 3, 0)[1]
    assert set(batch) == {"source", "target"}
    assert set(batch["source"]) == {"image", "label", "index"}
    assert set(batch["target"]) == {"image", "image_strong", "index"}
    assert batch["source"]["image"].shape == (5, 3, 16, 16)
    assert batch["source"]["label"].dtype == torch.int64
    assert batch["target"]["image_strong"].shape == (4, 3, 16, 16)
    assert batch["source"]["label"].tolist() == image_set.labels[batch["source"]["index"].numpy()].tolist()


def test_both_views_show_the_same_images(image_set: ImageSet) -> None:
    stream = Stream(Domain("unlabeled", image_set), 6, NoAugmentation(), NoAugmentation())
    for batch in batches({"target": stream}, 4, 0):
        target = batch["target"]
        assert torch.equal(target["image"], target["image_strong"])
        expected = NoAugmentation()(image_set.images(target["index"].numpy()))
        assert torch.equal(target["image"], expected)


def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(streams: dict[str, Stream]) -> None:
    first, again, other = (list(batches(streams, 4, seed)) for seed in (0, 0, 1))
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(equal(a, b) for a, b in zip(first, other, strict=True))
    assert not equal(first[0], first[1])


def test_an_image_is_augmented_anew_every_time() -> None:
    domain = numbered(1, classes=1)
    for view in ("image", "image_strong"):
        stream = Stream(domain, 1, StrongAugmentation(), AppearanceAugmentation())
        drawn = [batch["x"][view].numpy().tobytes() for batch in Batches({"x": stream}, 5, 0)]
        assert len(set(drawn)) == 5
    both = Batches({"x": stream}, 1, 0)[0]["x"]
    assert not torch.equal(both["image"], both["image_strong"])


def test_any_batch_can_be_had_alone(streams: dict[str, Stream]) -> None:
    in_order, alone = list(Batches(streams, 6, 0)), Batches(streams, 100, 0)
    assert all(equal(in_order[step], alone[step]) for step in (5, 0, 3))


def test_workers_give_equal_bits(streams: dict[str, Stream]) -> None:
    here, there = list(batches(streams, 6, 0)), list(batches(streams, 6, 0, workers=2))
    assert len(here) == len(there) == len(batches(streams, 6, 0)) == 6
    assert all(equal(a, b) for a, b in zip(here, there, strict=True))


def test_streams_are_drawn_independently(image_set: ImageSet) -> None:
    domain = Domain("unlabeled", image_set)
    alone = Batches({"target": Stream(domain, 4)}, 3, 0)
    beside = Batches({"source": Stream(domain, 7), "target": Stream(domain, 4)}, 3, 0)
    assert all(equal(a["target"], b["target"]) for a, b in zip(alone, beside, strict=True))
    assert not torch.equal(beside[0]["source"]["index"][:4], beside[0]["target"]["index"])


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000))
def test_every_image_comes_once_in_every_round(count: int, size: int, seed: int) -> None:
    steps = -(-3 * count // size)
    drawn = np.concatenate([b["x"]["index"] for b in Batches({"x": Stream(numbered(count), size)}, steps, seed)])
    for round_ in range(3):
        assert sorted(drawn[round_ * count : (round_ + 1) * count]) == list(range(count))


def test_rounds_are_shuffled_anew() -> None:
    first, second = (b["x"]["index"].tolist() for b in Batches({"x": Stream(numbered(40), 40)}, 2, 0))
    assert first != second != sorted(second)


@given(st.integers(5, 60), st.integers(1, 20), st.integers(0, 1000))
def test_balanced_batches_draw_every_class_equally_often(count: int, size: int, seed: int) -> None:
    domain = numbered(count)
    drawn = np.concatenate([b["x"]["index"] for b in Batches({"x": Stream(domain, size, balanced=True)}, 9, seed)])
    seen = Counter(domain.labels[drawn].tolist())
    assert max(seen.values()) - min(seen[c] for c in range(3)) <= 1
    for value in range(3):
        own = [int(i) for i in drawn if domain.labels[i] == value]
        members = np.flatnonzero(domain.labels == value).tolist()
        for start in range(0, len(own) - len(members) + 1, len(members)):
            assert sorted(own[start : start + len(members)]) == members


@pytest.mark.parametrize("balanced", [False, True])
def test_ranks_share_one_sequence(balanced: bool) -> None:
    stream = Stream(numbered(24), 4, balanced=balanced)
    alone = [b["x"]["index"].tolist() for b in Batches({"x": stream}, 6, 0)]
    parts = []
    for rank in range(2):
        with (
            mock.patch("torch.distributed.is_initialized", return_value=True),
            mock.patch("torch.distributed.get_rank", return_value=rank),
            mock.patch("torch.distributed.get_world_size", return_value=2),
        ):
            parts.append([b["x"]["index"].tolist() for b in Batches({"x": stream}, 3, 0)])
    assert [batch for pair in zip(*parts, strict=True) for batch in pair] == alone


def test_evaluation_goes_through_once_in_order() -> None:
    domain = numbered(10)
    parts = list(eval_batches(domain, 4))
    assert [len(part["image"]) for part in parts] == [4, 4, 2]
    assert torch.cat([part["index"] for part in parts]).tolist() == list(range(10))
    assert torch.cat([part["label"] for part in parts]).tolist() == domain.labels.tolist()
    assert (torch.cat([part["image"] for part in parts])[:, 0, 0, 0] * 255).round().tolist() == list(range(10))
    assert "label" not in next(eval_batches(Domain("unlabeled", ImageSet.from_arrays(domain.images([0]), None, ()))))


def test_what_cannot_be_drawn_from_is_refused(image_set: ImageSet) -> None:
    domain = Domain("labeled", image_set, [], [])
    with pytest.raises(DataError, match="labeled: the domain is empty"):
        Stream(domain, 4)
    with pytest.raises(ConfigError, match="batch_size"):
        Stream(numbered(3), 0)
    with pytest.raises(DataError, match="no labels"):
        batches({"x": Stream(Domain("unlabeled", image_set), 4, balanced=True)}, 1, 0)
    with pytest.raises(ConfigError, match="at least one stream"):
        batches({}, 1, 0)
    with pytest.raises(IndexError):
        Batches({"x": Stream(numbered(3), 1)}, 2, 0)[2]
