from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest

from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.summary import summarise
from perceptransfer.core.errors import DataError

# README of PeopleSansPeople (COCO person keypoint AP): real images, from ImageNet weights, from synthetic ones.
PEOPLE = {0.01: (641, 23.51, 46.40), 0.1: (6411, 45.99, 55.21), 0.5: (32057, 60.28, 63.38), 1.0: (64115, 65.10, 66.83)}


def plain_row(arm: str, fraction: float, seed: int, score: float | None, **changes: object) -> Row:
    fields = {"n_real": round(1000 * fraction), "metric": "score", "direction": "higher", **changes}
    return Row(arm=arm, fraction=fraction, seed=seed, score=score, **fields)  # type: ignore[arg-type]


def point(task, arm, fraction):
    return next(item for item in task["arms"][arm]["points"] if item["fraction"] == fraction)


def only(rows, **options):
    return summarise(rows, **options)["tasks"]["class"]


@pytest.fixture(scope="module")
def people():
    rows = []
    for fraction, (n, real_only, synthetic) in PEOPLE.items():
        rows += [plain_row("A", fraction, 0, real_only, n_real=n), plain_row("F", fraction, 0, synthetic, n_real=n)]
    return only(rows)


@pytest.mark.parametrize(("fraction", "ratio"), [(0.01, 0.713), (0.1, 0.848), (0.5, 0.973), (1.0, 1.026)])
def test_published_ratios(people, fraction, ratio):
    assert point(people, "F", fraction)["ratio"]["value"] == pytest.approx(ratio, abs=6e-4)


def test_published_label_savings(people):
    savings = people["arms"]["F"]["label_savings"]
    assert savings["0.01"]["value"] == pytest.approx(10.5, abs=0.05)
    assert savings["0.1"]["value"] == pytest.approx(2.8, abs=0.05)
    assert savings["0.1"]["reference"] == "A"
    assert people["arms"]["A"]["label_savings"] == {}


def test_one_seed_gives_no_interval(people):
    score = point(people, "F", 0.01)["score"]
    assert "low" not in score
    assert score["seeds"] == 1


def test_order_and_timings_do_not_matter(make_rows):
    rows = make_rows(arms=["A", "D", "F", "I"], fractions=[0.0, 0.01, 1.0], seeds=3)
    expected = json.dumps(summarise(rows), sort_keys=True, allow_nan=False)
    again = [dataclasses.replace(row, seconds=1e6, train_seconds=None, keys=["other"], report={}) for row in rows]
    random.Random(0).shuffle(again)
    assert json.dumps(summarise(again), sort_keys=True, allow_nan=False) == expected


def test_interval_agrees_with_a_plain_bootstrap(make_rows):
    rows = make_rows(arms=["I"], fractions=[0.0], seeds=4)
    right = np.array([[char == "1" for char in row.correct] for row in rows], dtype=float)
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(4000):
        seeds, items = rng.integers(0, 4, 4), rng.integers(0, right.shape[1], right.shape[1])
        draws.append(right[seeds][:, items].mean())
    low, high = np.quantile(draws, [0.025, 0.975])
    score = point(only(rows), "I", 0.0)["score"]
    assert score["value"] == pytest.approx(right.mean())
    assert score["low"] == pytest.approx(low, abs=0.0015)
    assert score["high"] == pytest.approx(high, abs=0.0015)


def test_groups_widen_the_interval(make_row):
    rows = [make_row("I", 0.0, seed) for seed in range(3)]
    by_right = np.argsort([sum(int(row.correct[i]) for row in rows) for i in range(len(rows[0].correct))])
    groups = np.empty(len(by_right), dtype=int)
    groups[by_right] = np.arange(len(by_right)) // 80  # items of a group are right or wrong together
    free = point(only(rows), "I", 0.0)["score"]
    tied = [dataclasses.replace(row, groups=groups.tolist()) for row in rows]
    bound = point(only(tied), "I", 0.0)["score"]
    assert bound["high"] - bound["low"] > 2 * (free["high"] - free["low"])


def test_balanced_accuracy_is_resampled_by_class(make_row):
    rows = []
    for seed in range(3):
        row = make_row("I", 0.0, seed)
        rows.append(
            dataclasses.replace(row, metric="balanced_accuracy", score=float(np.mean(list(row.per_class.values()))))
        )
    with_items = point(only(rows), "I", 0.0)["score"]
    seeds_alone = point(only([dataclasses.replace(row, labels=None) for row in rows]), "I", 0.0)["score"]
    assert with_items["value"] == pytest.approx(seeds_alone["value"])
    assert with_items["high"] - with_items["low"] > seeds_alone["high"] - seeds_alone["low"]


def test_hand_computed_numbers_of_one_point():
    rows = [
        *(plain_row("A", 1.0, s, 0.9, score_synthetic=None) for s in range(2)),
        *(plain_row("A+", 1.0, s, 1.0) for s in range(2)),
        *(plain_row("D", 0.0, s, 0.6, score_synthetic=0.99) for s in range(2)),
        plain_row("I", 0.1, 0, 0.7, score_synthetic=0.9, n_val=20, per_class={"a": 0.5, "b": 0.9}, ece=0.1),
        plain_row("I", 0.1, 1, 0.9, score_synthetic=0.9, n_val=20, per_class={"a": 0.7, "b": 0.9}, ece=0.3),
    ]
    task = only(rows, minutes_per_label={"class": 0.5})
    assert (task["oracle"]["arm"], task["oracle"]["recipe"]) == ("A+", "A+ at 100 % (1000 real labels, 2 seeds)")
    item = point(task, "I", 0.1)
    assert item["labels"] == 120
    assert item["label_minutes"] == 60
    assert item["score"]["value"] == pytest.approx(0.8)
    assert item["gap"]["value"] == pytest.approx(-0.1)
    assert item["ratio"]["value"] == pytest.approx(0.8)
    assert item["gap_closed"]["value"] == pytest.approx(0.5)
    assert item["forgetting"]["value"] == pytest.approx(0.09)
    assert (item["worst_class"]["class"], item["worst_class"]["value"]) == ("a", pytest.approx(0.6))
    assert item["ece"]["value"] == pytest.approx(0.2)
    assert item["negative_transfer"] == {"below_source_only": False, "below_real_only": None}
    # With two seeds the draws are the two seeds or their mean.
    assert (item["ratio"]["low"], item["ratio"]["high"]) == (pytest.approx(0.7), pytest.approx(0.9))
    assert (item["gap_closed"]["low"], item["gap_closed"]["high"]) == (pytest.approx(0.25), pytest.approx(0.75))


def test_errors_are_turned_the_right_way():
    rows = [
        plain_row("A", 1.0, 0, 0.1, direction="lower"),
        plain_row("D", 0.0, 0, 0.4, direction="lower", score_synthetic=0.05),
        plain_row("I", 0.0, 0, 0.2, direction="lower", score_synthetic=0.15),
        plain_row("G", 0.0, 0, 0.5, direction="lower"),
    ]
    task = only(rows)
    item = point(task, "I", 0.0)
    assert item["ratio"]["value"] == pytest.approx(0.5)
    assert item["gap"]["value"] == pytest.approx(-0.05)
    assert item["gap_closed"]["value"] == pytest.approx(2 / 3)
    assert item["forgetting"]["value"] == pytest.approx(0.1)
    assert item["tests"]["D"]["value"] == pytest.approx(0.2)
    assert not item["negative_transfer"]["below_source_only"]
    assert point(task, "G", 0.0)["negative_transfer"]["below_source_only"]


def test_negative_transfer_is_flagged_where_it_is():
    rows = [plain_row("D", 0.0, 0, 0.6), plain_row("A", 0.1, 0, 0.8), plain_row("A", 1.0, 0, 0.9)]
    rows += [plain_row("I", 0.0, 0, 0.5), plain_row("I", 0.1, 0, 0.7), plain_row("I", 1.0, 0, 0.95)]
    task = only(rows)
    flags = [tuple(item["negative_transfer"].values()) for item in task["arms"]["I"]["points"]]
    assert flags == [(True, None), (False, True), (False, False)]
    assert point(task, "A", 0.1)["negative_transfer"] is None
    assert point(task, "D", 0.0)["negative_transfer"] is None


def test_six_seeds_are_testable_and_five_are_not():
    def task(seeds):
        return only(
            [plain_row("D", 0.0, s, 0.6 + 0.01 * s) for s in range(seeds)]
            + [plain_row(arm, 0.0, s, 0.7 + 0.02 * s) for s in range(seeds) for arm in ("G", "I")]
        )

    five = point(task(5), "I", 0.0)["tests"]["D"]
    assert (five["testable"], five["p"], five["p_holm"]) == (False, None, None)
    six = point(task(6), "I", 0.0)["tests"]["D"]
    assert six["p"] == 2 / 2**6
    assert six["p_holm"] == 2 * 2 / 2**6  # two arms in the family
    assert six["value"] == pytest.approx(0.1 + 0.01 * 2.5)


def test_differences_use_the_seeds_that_both_arms_have(make_row):
    rows = [make_row("D", 0.0, seed) for seed in range(4)] + [make_row("I", 0.0, seed) for seed in (1, 2, 5)]
    test = point(only(rows), "I", 0.0)["tests"]["D"]
    scores = {(row.arm, row.seed): row.score for row in rows}
    assert test["seeds"] == 2
    assert test["value"] == pytest.approx(np.mean([scores["I", s] - scores["D", s] for s in (1, 2)]))
    assert test["low"] < test["value"] < test["high"]


def test_labels_needed(make_rows):
    task = only(make_rows(arms=["A", "D", "I"], seeds=2))
    full, curve = task["oracle"]["score"]["value"], task["arms"]["A"]["points"]
    goal = 0.9 * full
    above = next(i for i, item in enumerate(curve) if item["score"]["value"] >= goal)
    left, right = curve[above - 1], curve[above]
    share = (goal - left["score"]["value"]) / (right["score"]["value"] - left["score"]["value"])
    expected = left["labels"] * (right["labels"] / left["labels"]) ** share
    need = task["arms"]["A"]["n_to"]["0.9"]
    assert need["value"] == pytest.approx(expected)
    assert need["low"] < expected < need["high"]
    assert task["arms"]["I"]["n_to"]["0.9"]["value"] == 0
    assert task["arms"]["D"]["n_to"]["0.9"]["value"] is None


def test_area_over_the_shared_range():
    rows = [plain_row("A", f, 0, s, n_real=n) for f, n, s in ((0.01, 10, 0.2), (0.1, 100, 0.4), (1.0, 1000, 0.8))]
    rows += [plain_row("I", f, 0, s, n_real=n) for f, n, s in ((0.1, 100, 0.7), (1.0, 1000, 0.9))]
    task = only(rows)
    assert task["area_between"] == [100, 1000]
    assert task["arms"]["A"]["area"]["value"] == pytest.approx(0.6)
    assert task["arms"]["I"]["area"]["value"] == pytest.approx(0.8)


def test_failed_cells_are_counted_and_explained(make_row):
    failed = [make_row("I", 0.0, s, score=None, correct=None, error="boom") for s in range(2)]
    task = only([make_row("A", 1.0, 0), *failed, make_row("I", 0.1, 0), make_row("I", 0.1, 1, score=None, error="x")])
    assert (task["cells"], task["failed"]) == (5, 3)
    item = point(task, "I", 0.0)
    assert item["score"] == {"value": None, "reason": "all 2 seeds failed", "seeds": 0}
    assert item["failed"] == 2
    assert point(task, "I", 0.1)["seeds"] == [0]


def test_a_repeated_cell_counts_once_whatever_came_first(make_row):
    good, bad = make_row("I", 0.0, 0), make_row("I", 0.0, 0, score=None, correct=None, error="killed")
    expected = summarise([good])
    assert summarise([bad, good]) == expected
    assert summarise([good, bad]) == expected
    assert summarise([good, dataclasses.replace(good, seconds=1.0)]) == expected


def test_two_results_for_one_cell_are_refused(make_row):
    row = make_row("I", 0.0, 0)
    with pytest.raises(DataError, match="two different results for arm I"):
        summarise([row, dataclasses.replace(row, score=0.1)])


def test_two_metrics_in_one_task_are_refused():
    with pytest.raises(DataError, match="several metrics"):
        summarise([plain_row("A", 1.0, 0, 0.5), plain_row("A", 1.0, 1, 0.5, metric="other")])


def test_two_test_sets_in_one_cell_are_refused(make_row):
    row = make_row("I", 0.0, 1)
    for other in (dataclasses.replace(row, correct=row.correct[:-1], labels=None), dataclasses.replace(row, setup="b")):
        with pytest.raises(DataError, match="trained or tested on different data"):
            summarise([make_row("I", 0.0, 0), other])


def test_without_real_only_at_all_labels_there_is_a_reason(make_rows):
    task = only(make_rows(arms=["A", "D", "I"], fractions=[0.0, 0.1], seeds=2))
    assert "no finished real-only cell" in task["oracle"]["score"]["reason"]
    item = point(task, "I", 0.1)
    for key in ("ratio", "gap_closed"):
        assert item[key]["value"] is None
        assert item[key]["reason"]
    assert all(need["value"] is None for need in task["arms"]["I"]["n_to"].values())


def test_tasks_are_kept_apart():
    rows = [plain_row("A", 1.0, 0, 0.9), plain_row("A", 1.0, 0, 2.0, task="depth", direction="lower", metric="absrel")]
    tasks = summarise(rows)["tasks"]
    assert {name: task["direction"] for name, task in tasks.items()} == {"class": "higher", "depth": "lower"}


def test_no_rows_give_no_tasks():
    assert summarise([])["tasks"] == {}
