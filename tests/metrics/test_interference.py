"""Multi-task minus single-task, by hand."""

from __future__ import annotations

import pytest

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import group_counts, interference, seed_scores

DIRECTIONS = {"mask": "higher", "depth": "lower"}


def test_by_hand_with_both_directions() -> None:
    multi = {"mask": seed_scores([0.5, 0.7]), "depth": seed_scores([0.30, 0.20])}
    single = {"mask": seed_scores([0.6, 0.6]), "depth": seed_scores([0.40, 0.25])}
    found = interference(multi, single, DIRECTIONS)
    # mask: -0.1 and +0.1; depth, an error: 0.10 and 0.05 less of it is better
    assert found["mask"].difference == pytest.approx(0.0)
    assert found["depth"].difference == pytest.approx(0.075)
    # Draws of two seeds with replacement hold one seed twice in half of all cases: the bounds are the seeds themselves.
    assert (found["mask"].interval.low, found["mask"].interval.high) == pytest.approx((-0.1, 0.1))
    assert (found["depth"].interval.low, found["depth"].interval.high) == pytest.approx((0.05, 0.10))
    assert found["mask"].test.p is None and found["mask"].interval.seeds == 2


def test_six_seeds_are_tested_and_corrected_over_the_tasks() -> None:
    alone = [0.60, 0.61, 0.62, 0.63, 0.64, 0.65]
    single = {"mask": seed_scores(alone), "depth": seed_scores(alone)}
    multi = {
        "mask": seed_scores([score - 0.1 for score in alone]),
        "depth": seed_scores([score - gain for score, gain in zip(alone, [3, 2, 1, -1, 2, 3], strict=True)]),
    }
    found = interference(multi, single, DIRECTIONS)
    assert found["mask"].difference == pytest.approx(-0.1) and found["depth"].difference == pytest.approx(10 / 6)
    # All six signs agree: 2 of the 64 sign vectors reach the sum. For depth one of size 1 is against the others:
    # |sum| >= 10 of 12 is reached with none or one of the two ones turned, so by 3 of 32, on either side.
    assert found["mask"].test.p == pytest.approx(2 / 64) and found["depth"].test.p == pytest.approx(6 / 64)
    assert found["mask"].test.p_holm == pytest.approx(4 / 64) and found["depth"].test.p_holm == pytest.approx(6 / 64)


def test_test_items_are_paired() -> None:
    right = [[1, 1, 0, 1, 0, 1]]
    both = {"mask": group_counts(right)}
    (found,) = interference(both, both, DIRECTIONS).values()
    assert (found.difference, found.interval.low, found.interval.high) == (0.0, 0.0, 0.0)
    (found,) = interference({"mask": group_counts([[1, 1, 1, 1, 0, 1]])}, both, DIRECTIONS).values()
    assert found.difference == pytest.approx(1 / 6) and found.interval.low == 0.0 < found.interval.high


@pytest.mark.parametrize(
    ("multi", "single", "directions"),
    [
        ({}, {}, DIRECTIONS),
        ({"mask": [0.1]}, {"depth": [0.1]}, DIRECTIONS),
        ({"mask": [0.1]}, {"mask": [0.1]}, {"depth": "lower"}),
        ({"mask": [0.1]}, {"mask": [0.1]}, {"mask": "bigger"}),
        ({"mask": [0.1, 0.2]}, {"mask": [0.1]}, DIRECTIONS),
    ],
)
def test_what_cannot_be_compared_is_refused(multi, single, directions) -> None:
    with pytest.raises(UndefinedMetricError):
        interference(
            {name: seed_scores(scores) for name, scores in multi.items()},
            {name: seed_scores(scores) for name, scores in single.items()},
            directions,
        )
