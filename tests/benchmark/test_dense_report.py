"""What tables, bars and curve say of scores that are no recall: units, directions, nothing empty."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from perceptransfer.benchmark import panels
from perceptransfer.benchmark.figures import curve_figure
from perceptransfer.benchmark.markdown import legend
from perceptransfer.benchmark.report import write_report
from perceptransfer.benchmark.rows import Row, append_rows
from perceptransfer.benchmark.summary import summarise
from perceptransfer.benchmark.table import summary_table
from tests.benchmark.test_html import RUN
from tests.page import Page

KINDS = {"mask": ("mean_iou", "higher"), "points": ("pck@0.1", "higher"), "depth": ("abs_rel", "lower")}
SCORES = {"D": (0.0, 0.5), "F": (0.1, 0.6), "A": (0.1, 0.55)}


def rows_of(task: str, factor: float = 1.0) -> list[Row]:
    metric, direction = KINDS[task]
    made = []
    for arm, (fraction, score) in SCORES.items():
        for fraction_, score_ in ((fraction, score), *([(1.0, 0.8)] if arm == "A" else [])):
            value = factor * (score_ if direction == "higher" else 1 - score_)
            made += [
                Row(
                    arm=arm,
                    fraction=fraction_,
                    n_real=round(100 * fraction_),
                    seed=seed,
                    metric=metric,
                    direction=direction,
                    score=value + 0.01 * seed,
                    score_synthetic=value,
                    task=task,
                    per_class={"cat": value - 0.1, "duck": value + 0.1, "egg": None},
                    n_test=40,
                    train_seconds=1.0,
                )
                for seed in range(2)
            ]
    return made


@pytest.fixture(scope="module")
def tasks():
    return summarise([row for task in KINDS for row in rows_of(task)])["tasks"]


def test_the_worst_class_follows_the_direction_and_keeps_its_unit(tasks) -> None:
    found = {}
    for task in KINDS:
        table = summary_table(tasks[task], rows_of(task))
        found[task] = {row[0].main: row[table.header.index("worst class @0\u00a0%")].main for row in table.rows}["D"]
    assert found == {"mask": "cat: 40.0", "points": "cat: 40.0", "depth": "duck: 0.6"}


def test_no_column_and_no_line_about_calibration_without_a_classifier(tasks, make_rows) -> None:
    for task in KINDS:
        assert not any("ECE" in name for name in summary_table(tasks[task], []).header)
        assert not any("ECE" in line for line in legend(tasks[task]))
    rows = make_rows(arms=["A", "D"], fractions=[0.0, 1.0], seeds=2)
    classes = summarise(rows)["tasks"]["class"]
    assert "ECE @0\u00a0%" in summary_table(classes, rows).header and any("ECE" in line for line in legend(classes))


def test_the_legend_says_which_way_a_ratio_of_errors_goes(tasks) -> None:
    said = {task: " ".join(legend(tasks[task])) for task in KINDS}
    assert "turned over" in said["depth"] and "turned over" not in said["mask"]
    point = next(point for point in tasks["depth"]["arms"]["F"]["points"] if point["fraction"] == 0.1)
    assert point["ratio"]["value"] == pytest.approx(0.205 / 0.405), "real-only error at 100 % by this error"


def test_bars_have_the_metrics_unit_and_never_overflow(tasks) -> None:
    share = panels.per_class(tasks["mask"], 0.0)
    assert share["full"] == 1.0 and share["arms"][0]["texts"] == {"cat": "40", "duck": "60"}
    error = panels.per_class(summarise(rows_of("depth", factor=8.0))["tasks"]["depth"], 0.0)
    assert error["full"] == pytest.approx(4.1) and error["arms"][0]["texts"] == {"cat": "3.9", "duck": "4.1"}
    captions = {task: panels.per_class_caption(tasks[task]) for task in KINDS}
    assert captions["depth"] == "abs rel on the images of each class, mean over seeds; lower is better."
    assert captions["points"] == "pck@0.1 on the images of each class in percent, mean over seeds."
    assert "Recall" in panels.per_class_caption({"metric": "accuracy", "direction": "higher"})


def test_the_page_has_a_section_a_task_and_nothing_empty(tmp_path: Path) -> None:
    rows = [row for task in KINDS for row in rows_of(task)]
    rounds = [{"segmentation": {"kept_per_class": {"0": 0.5}}}]
    rows[0] = dataclasses.replace(rows[0], report={"self_train": {"rounds": rounds}})
    append_rows(tmp_path / "results.jsonl", rows)
    write_report(tmp_path, RUN)
    page = Page((tmp_path / "report.html").read_text())
    for title in ("depth (abs rel, lower is better)", "mask (mean iou, higher", "points (pck@0.1, higher"):
        assert title in page.text
    assert page.text.count("on the images of each class") == 3 and "Recall" not in page.text
    assert all(word not in page.text for word in ("Confusion", "ECE", "kept per predicted class"))
    widths = [dict(attrs)["style"] for tag, attrs in page.tags if tag == "i"]
    assert widths and all(0 <= float(style.split("width: ")[1].split("%")[0]) <= 100 for style in widths)
    names = {path.name for path in tmp_path.glob("curve*.png")}
    assert names == {"curve.png", "curve-mask.png", "curve-points.png"}, "the first task by name has the plain one"


def test_a_long_label_beside_the_zero_point_is_not_covered(tasks) -> None:
    zero, rest = curve_figure(tasks["depth"], {}, "T").axes
    assert not rest.patch.get_visible()
    assert "abs rel on the real test" in zero.get_ylabel() and "%" not in zero.get_ylabel()
    assert "(%)" in curve_figure(tasks["points"], {}, "T").axes[0].get_ylabel()
