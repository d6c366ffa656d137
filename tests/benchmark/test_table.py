from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.benchmark import text
from perceptransfer.benchmark.description import RunDescription
from perceptransfer.benchmark.headline import headline, speaker
from perceptransfer.benchmark.markdown import failures, legend, write_markdown
from perceptransfer.benchmark.summary import summarise
from perceptransfer.benchmark.table import Entry, Table, score_table, summary_table, test_table

RUN = RunDescription(
    command="perceptransfer benchmark --seeds 3",
    config="",
    arms={"A": "real only", "I": "all | stages"},
    minutes_per_label={"class": 0.1},
)


@pytest.fixture(scope="module")
def rows(make_rows, make_row):
    rows = make_rows(arms=["A", "D", "F", "I"], fractions=[0.0, 0.01, 1.0], seeds=3)
    rows = [row for row in rows if (row.arm, row.fraction) != ("F", 1.0)]
    rows += [
        make_row("F", 1.0, s, score=None, correct=None, error="DivergedError: NaN\n  remedy: lower lr")
        for s in range(3)
    ]
    # One arm is harmed at 1 %, and one of its seeds failed.
    harmed = [
        dataclasses.replace(row, score=0.2, correct=None) if (row.arm, row.fraction) == ("F", 0.01) else row
        for row in rows
    ]
    return [
        make_row("F", 0.01, 2, score=None, correct=None, error="killed")
        if (row.arm, row.fraction, row.seed) == ("F", 0.01, 2)
        else row
        for row in harmed
    ]


@pytest.fixture(scope="module")
def task(rows):
    return summarise(rows)["tasks"]["class"]


def cell(table: Table, arm: str, column: str) -> Entry:
    row = next(row for row in table.rows if row[0].main == arm)
    return row[table.header.index(column)]


def test_scores_stand_under_their_labels(task):
    table = score_table(task, RUN.arms)
    assert table.header == ("arm", "0\u00a0%", "1\u00a0% (10)", "100\u00a0% (1000)")
    item = next(item for item in task["arms"]["I"]["points"] if item["fraction"] == 0.01)["score"]
    entry = cell(table, "I", "1\u00a0% (10)")
    assert entry.main == f"{100 * item['value']:.1f}"
    assert entry.note == f"[{100 * item['low']:.1f}, {100 * item['high']:.1f}]"
    assert entry.marks == ""
    assert cell(table, "A", "0\u00a0%") == Entry("")


def test_harm_and_failures_are_marked(task):
    table = score_table(task, {})
    harmed = cell(table, "F", "1\u00a0% (10)")
    assert harmed.marks == "▼ ▽ ✗ 1 of 3 seeds failed"
    assert harmed.why == "below source-only and below real-only"
    assert cell(table, "F", "100\u00a0% (1000)").main == "✗ failed"


def test_summary_columns(task, rows):
    table = summary_table(task, rows, minutes_per_label=0.1)
    assert cell(table, "A", "ratio @100\u00a0%").main == "1.000"
    assert cell(table, "D", "gap closed @0\u00a0%").main == "0.00"
    assert cell(table, "I", "n to 90 %").main == "0"
    assert cell(table, "D", "labels saved @1 %").main == "–"
    seconds = [row.train_seconds for row in rows if row.arm == "D"]
    assert cell(table, "D", "train s").main == f"{sum(seconds) / 3:.0f}"
    need = task["arms"]["A"]["n_to"]["0.95"]["value"]
    assert cell(table, "A", "labelling to 95 %").main == f"{need * 0.1:.0f} min"
    assert cell(summary_table(task, rows), "A", "labelling to 95 %").main == "–"


def test_transposing_moves_every_entry(task, rows):
    table = summary_table(task, rows)
    turned = table.transposed()
    assert turned.header[1:] == tuple(row[0].main for row in table.rows)
    for i, name in enumerate(table.header[1:], start=1):
        assert [entry.main for entry in turned.rows[i - 1]] == [name, *(row[i].main for row in table.rows)]


def test_differences_say_when_nothing_is_testable(task):
    table = test_table(task, "D")
    assert "not testable" in cell(table, "I", "0\u00a0%").note
    assert "D" not in [row[0].main for row in table.rows]
    assert any("3 seeds nothing is testable" in line for line in legend(task))


def test_differences_show_the_corrected_p(make_rows):
    task = summarise(make_rows(arms=["D", "D'", "I"], fractions=[0.0], seeds=6))["tasks"]["class"]
    assert "p = 0.062" in cell(test_table(task, "D"), "I", "0\u00a0%").note
    assert not test_table(task, "A").rows


def test_markdown_is_a_table(task, rows):
    page = write_markdown("digits", {"class": task}, rows, RUN)
    blocks = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 4
    for lines in blocks:
        columns = {line.replace("\\|", "").count("|") for line in lines}
        assert len(columns) == 1
    assert "**I** all \\| stages" in page
    assert RUN.command in page
    assert "- F, 100\u00a0%, seeds 0, 1, 2: DivergedError: NaN remedy: lower lr" in page
    assert "▼ below source-only" in page


def test_equal_failures_share_a_line(rows):
    assert failures(rows) == [
        "F, 1\u00a0%, seed 2: killed",
        "F, 100\u00a0%, seeds 0, 1, 2: DivergedError: NaN remedy: lower lr",
    ]


def test_headline_says_the_numbers_and_the_harm(task):
    said = " ".join(headline(task))
    item = task["arms"]["I"]["points"][0]
    assert f"**{100 * item['score']['value']:.1f}\u00a0%**" in said
    assert f"**{item['ratio']['value']:.3f}** of the best real-only model on all 1000 labels" in said
    assert "**Negative transfer** in 1 place: F @1\u00a0%." in said


def test_headline_without_harm(make_rows):
    task = summarise(make_rows(arms=["A", "D", "I"], fractions=[0.0, 1.0], seeds=2))["tasks"]["class"]
    assert headline(task)[-1].startswith("No arm ends below")


def test_headline_speaks_for_the_most_complete_arm_that_ran(make_rows, make_row):
    rows = make_rows(arms=["D", "G"], fractions=[0.0], seeds=2)
    assert speaker(summarise(rows)["tasks"]["class"]) == "G"
    failed = [make_row("I", 0.0, 0, score=None, correct=None, error="x")]
    assert speaker(summarise(rows + failed)["tasks"]["class"]) == "G"
    only_real = summarise(make_rows(arms=["A"], fractions=[1.0], seeds=2))["tasks"]["class"]
    assert speaker(only_real) is None
    assert headline(only_real) == [
        "No arm that uses synthetic images has a finished cell, so that there is no transfer to report."
    ]


def test_headline_admits_a_gap_that_grew(make_rows):
    rows = make_rows(arms=["A", "D", "I"], fractions=[0.0, 1.0], seeds=1)
    worse = [dataclasses.replace(row, score=0.3, correct=None) if row.arm == "I" else row for row in rows]
    assert "the gap grew by" in " ".join(headline(summarise(worse)["tasks"]["class"]))


@pytest.mark.parametrize(
    ("value", "metric", "options", "expected"),
    [
        (0.9567, "accuracy", {}, "95.7"),
        (0.9567, "accuracy", {"unit": True}, "95.7\u00a0%"),
        (-0.0001, "accuracy", {"sign": True}, "0.0"),
        (-0.05, "balanced_accuracy", {"sign": True}, "−5.0"),
        (0.05, "accuracy", {"sign": True}, "+5.0"),
        (0.12345, "absrel", {}, "0.123"),
        (-3.0, "absrel", {"sign": True}, "−3"),
    ],
)
def test_numbers(value, metric, options, expected):
    assert text.number(value, metric, **options) == expected


@given(value=st.floats(-1e6, 1e6), digits=st.integers(0, 4))
def test_fixed_numbers_read_back(value, digits):
    shown = text.fixed(value, digits)
    assert abs(float(shown.replace("−", "-")) - value) <= 0.5000001 * 10**-digits
    assert shown.replace("−", "").strip("0.") or "−" not in shown


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, "–"),
        ({"value": None, "reason": "x"}, "–"),
        ({"value": None, "reason": "x", "above": 10.0}, "> 10.0"),
        ({"value": None, "reason": "x", "at_most": 10.0}, "≤ 10.0"),
        ({"value": 2.0, "low": 1.0, "high": 3.0}, "2.0 [1.0, 3.0]"),
        ({"value": 2.0, "low": 2.0, "high": 2.0}, "2.0"),
        ({"value": 2.0, "low": 1.0, "high": 3.0, "defined": 0.4}, "2.0"),
    ],
)
def test_ratios(item, expected):
    assert text.ratio(item, digits=1) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(5, "5 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds, expected):
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(("score", "said"), [(0.1, "below 64"), (0.7, "**Sanity row fails**")])
def test_headline_judges_the_sanity_row(make_rows, make_row, score, said):
    shuffled = [dataclasses.replace(make_row("A", 1.0, seed), arm="S", score=score, correct=None) for seed in range(3)]
    task = summarise([*make_rows(seeds=3), *shuffled])["tasks"]["class"]
    assert said in headline(task)[-1]
    arm = task["arms"]["S"]
    assert arm["points"][0]["negative_transfer"] is None and arm["label_savings"] == {}
    assert arm["points"][0]["tests"] == {"D": None, "A": None, "G": None}
    assert speaker(task) == "I"
