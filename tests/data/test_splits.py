"""Held-out parts and nested shares of labels."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import DataError, FractionError
from perceptransfer.data.splits import hold_out, label_order, number_of_labels, spend

FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
label_sets = st.lists(st.integers(0, 5), min_size=1, max_size=300).map(lambda values: np.array(values))
seeds = st.integers(0, 2**31)


def webster(sizes: list[int], seats: int) -> list[int]:
    """Independent reference: one seat each, then seat by seat to the highest size / (2 · seats + 1)."""
    given_ = [1] * len(sizes)
    queue = [(-size / 3, i) for i, size in enumerate(sizes)]
    heapq.heapify(queue)
    for _ in range(seats - len(sizes)):
        quotient, i = heapq.heappop(queue)
        assert quotient < 0
        given_[i] += 1
        heapq.heappush(queue, (-sizes[i] / (2 * given_[i] + 1) if given_[i] < sizes[i] else 0.0, i))
    return given_


@given(label_sets, seeds)
def test_larger_shares_contain_smaller_ones_and_every_class(labels: np.ndarray, seed: int) -> None:
    previous: set[int] = set()
    for fraction in FRACTIONS:
        spent = spend(labels, seed, fraction=fraction)
        chosen = set(spent.train.tolist())
        assert len(chosen) == len(spent.train) == spent.requested + spent.inflation
        assert previous <= chosen
        if fraction > 0:
            assert set(labels[spent.train]) == set(labels)
        previous = chosen
    assert previous == set(range(len(labels)))


@given(label_sets, seeds)
def test_counts_are_those_asked_for_and_inflation_is_what_classes_need(labels: np.ndarray, seed: int) -> None:
    classes = len(set(labels))
    for count in range(len(labels) + 1):
        spent = spend(labels, seed, count=count)
        assert spent.requested == count
        assert spent.inflation == (max(0, classes - count) if count else 0)


@given(
    st.lists(st.sampled_from([1, 2, 3, 5, 7, 11, 40, 97]), min_size=1, max_size=6, unique=True), seeds, st.floats(0, 1)
)
def test_class_counts_are_websters(sizes: list[int], seed: int, share: float) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    seats = max(len(sizes), round(share * len(labels)))
    counts = np.bincount(labels[label_order(labels, seed)[:seats]], minlength=len(sizes))
    expected = webster(sizes, seats)
    # With equal quotients either class may come first; then the quotients decide.
    if counts.tolist() != expected:
        quotients = [(2 * c - 1) / s for c, s in zip(counts, sizes, strict=True)]
        assert sorted(quotients) == sorted((2 * c - 1) / s for c, s in zip(expected, sizes, strict=True)) or max(
            q for q, c in zip(quotients, counts, strict=True) if c > 1
        ) <= min((2 * c + 1) / s for c, s in zip(counts, sizes, strict=True) if c < s)


def test_one_percent_of_a_thousand_balanced_digits_is_one_of_each() -> None:
    labels = np.arange(1000) % 10
    spent = spend(labels, 0, fraction=0.01)
    assert sorted(labels[spent.train]) == list(range(10))
    assert (spent.requested, spent.inflation, len(spent.val)) == (10, 0, 0)


def test_a_share_smaller_than_one_per_class_is_inflated() -> None:
    spent = spend(np.arange(100) % 10, 0, fraction=0.02)
    assert (spent.requested, spent.inflation, len(spent.train)) == (2, 8, 10)
    tiny = spend(np.arange(20) % 10, 0, fraction=0.01)
    assert (tiny.requested, tiny.inflation, len(tiny.train)) == (0, 10, 10)


def test_another_seed_is_another_permutation_and_the_same_seed_the_same() -> None:
    labels = np.arange(1000) % 10
    first, again, other = (spend(labels, seed, fraction=0.1).train for seed in (0, 0, 1))
    assert (first == again).all()
    assert set(first.tolist()) != set(other.tolist())


@given(label_sets, seeds, st.sampled_from([0.1, 0.2, 0.5]))
def test_validation_comes_out_of_the_labels_spent(labels: np.ndarray, seed: int, share: float) -> None:
    total = spend(labels, seed, fraction=0.5)
    parts = spend(labels, seed, fraction=0.5, val_share=share)
    assert sorted([*parts.train, *parts.val]) == sorted(total.train)
    assert set(labels[parts.train]) == set(labels[total.train])
    smaller = spend(labels, seed, fraction=0.25, val_share=share)
    assert set(smaller.val) <= set(parts.val)
    assert set(smaller.train) <= set(parts.train)


def test_validation_share_of_a_large_class() -> None:
    parts = spend(np.zeros(100, np.int64), 0, fraction=1.0, val_share=0.2)
    assert (len(parts.train), len(parts.val)) == (80, 20)


@pytest.mark.parametrize("fraction", [-0.1, 1.0001, float("nan"), float("inf"), 5])
def test_fractions_outside_0_to_1_are_refused(fraction: float) -> None:
    with pytest.raises(FractionError, match="real_fraction"):
        spend(np.arange(10) % 2, 0, fraction=fraction)


def test_more_labels_than_exist_are_refused() -> None:
    with pytest.raises(FractionError, match="11 labels asked for, 10 exist"):
        spend(np.arange(10) % 2, 0, count=11)
    with pytest.raises(FractionError, match="labels"):
        spend(np.arange(10) % 2, 0, count=-1)
    with pytest.raises(FractionError, match="val_share"):
        spend(np.arange(10) % 2, 0, fraction=1.0, val_share=1.0)


@pytest.mark.parametrize(
    ("available", "fraction", "expected"), [(1000, 0.001, 1), (150, 0.01, 2), (7, 0.5, 4), (3, 0.1, 0), (9, 1.0, 9)]
)
def test_fractions_are_rounded_half_up(available: int, fraction: float, expected: int) -> None:
    assert number_of_labels(available, fraction) == expected


def test_holding_out_images_keeps_class_shares() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    parts = hold_out(labels, (0.3, 0.1), 0)
    assert [np.bincount(labels[parts == part]).tolist() for part in range(3)] == [[60, 30, 6], [30, 15, 3], [10, 5, 1]]
    assert (parts == hold_out(labels, (0.3, 0.1), 0)).all()
    assert (parts != hold_out(labels, (0.3, 0.1), 1)).any()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=60, max_size=200), seeds)
def test_groups_stay_whole(rows: list[tuple[int, int]], seed: int) -> None:
    labels, groups = np.array([row[0] for row in rows]), [f"g{row[1]}" for row in rows]
    try:
        parts = hold_out(labels, (0.3,), seed, groups)
    except DataError:
        return  # a class that stands in one group only cannot be in both parts
    for group in set(groups):
        assert len({int(part) for part, name in zip(parts, groups, strict=True) if name == group}) == 1
    assert set(labels[parts == 0]) == set(labels[parts == 1]) == set(labels)


def test_groups_come_close_to_the_share() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 4, 2000), [str(g) for g in rng.integers(0, 60, 2000)]
    parts = hold_out(labels, (0.3,), 0, groups)
    for value in range(4):
        assert np.mean(parts[labels == value] == 1) == pytest.approx(0.3, abs=0.05)


def test_large_groups_are_placed_first_so_that_small_ones_can_fill_up() -> None:
    groups = [name for name, size in (("a", 40), ("b", 30), ("c", 20), ("d", 10)) for _ in range(size)]
    for seed in range(10):
        parts = hold_out(np.zeros(100, np.int64), (0.3,), seed, groups)
        assert (parts == 1).sum() == 30


def test_a_class_in_one_group_only_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"the classes \['y'\] out.*split_seed"):
        hold_out(np.array([0, 0, 0, 1, 1]), (0.4,), 0, ["a", "b", "c", "d", "d"], classes=("x", "y"))


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(FractionError):
        hold_out(np.arange(10) % 2, (0.6, 0.4), 0)
