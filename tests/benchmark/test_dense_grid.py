"""A grid over several tasks: rows, resuming in the middle of a cell, and a report with dense scores."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.benchmark import Grid, RealFractionBenchmark, failures
from perceptransfer.benchmark.measured import gather
from perceptransfer.benchmark.rows import Row, read_rows, row_from_json, row_to_json
from perceptransfer.core.errors import DataError
from perceptransfer.core.ledger import Ledger
from tests.page import Page
from tests.shapes import CLASSES, Shapes, shapes_data, shapes_pipeline

TASKS = ["class", "segmentation", "keypoints"]


def grid_of(**changes) -> Grid:
    parts = {"data": shapes_data(), "pipeline": shapes_pipeline(align=None), "arms": ["A", "D", "F"]}
    return Grid(**{**parts, "fractions": [0, 0.5], "seeds": [0, 1], **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    RealFractionBenchmark(grid_of(), folder, command="x").run(quiet=True)
    return folder


def test_every_cell_has_a_row_a_task(finished: Path) -> None:
    rows = read_rows(finished / "results.jsonl")
    cells = list(grid_of().cells())
    assert not failures(rows) and len(rows) == 3 * len(cells)
    assert [row.task for row in rows] == TASKS * len(cells)
    for row in rows:
        if row.task == "class":
            assert row.correct and row.confusion and row.hits is None and row.test_reads == 1 and row.report
        else:
            assert row.correct is None and row.confusion is None and row.test_reads == 0 and not row.report
            tallied = np.sum(row.hits, axis=0) / np.sum(row.totals, axis=0)
            assert row.score == pytest.approx(np.nanmean(tallied)) and row.details
        assert row_from_json(row_to_json(row)) == row


def test_numbers_of_every_task_have_intervals_over_seeds_and_groups(finished: Path) -> None:
    grids = gather(read_rows(finished / "results.jsonl"))
    assert sorted(grids) == sorted(TASKS)
    for task, grid in grids.items():
        counts = grid.cells["F", 0.5].counts()
        assert counts.hits.shape[:2] == (2, 5) and counts.n_items == 15
        np.testing.assert_allclose(counts.scores(), [row.score for row in grid.cells["F", 0.5].rows])
        # Every group of the test has one image of each class: one class predicted throughout is right in a third.
        assert np.ptp(grid.draws["F", 0.5]) > 0 or task == "class"
    summary = json.loads((finished / "summary.json").read_text())["tasks"]
    assert set(summary) == set(TASKS)


@pytest.mark.parametrize("kept", [1, 2])
def test_a_cell_killed_between_its_rows_is_redone(finished: Path, tmp_path: Path, kept: int) -> None:
    lines = (finished / "results.jsonl").read_text().splitlines(keepends=True)
    torn = lines[: 3 * 2 + kept]  # two whole cells, and one task or two of the third
    (tmp_path / "results.jsonl").write_text("".join(torn))
    RealFractionBenchmark(grid_of(), tmp_path, store=finished / "store", command="x").run(quiet=True)
    rows = read_rows(tmp_path / "results.jsonl")
    assert Counter(row.cell for row in rows) == Counter(row.cell for row in read_rows(finished / "results.jsonl"))
    kinds = Counter(row["kind"] for row in Ledger(tmp_path / "ledger.jsonl").rows())
    assert kinds["cell"] == len(list(grid_of().cells())) - 2 and kinds["stage"] == 0
    assert (tmp_path / "summary.json").read_bytes() == (finished / "summary.json").read_bytes()


def test_a_cell_that_fails_has_a_failed_row_a_task(tmp_path: Path) -> None:
    data = shapes_data(real=Shapes(45, 1, 0.7, True, kinds="mask"))
    grid = grid_of(data=data, arms=["A"], fractions=[0.5], seeds=[0])
    rows = RealFractionBenchmark(grid, tmp_path, command="x").run(quiet=True)
    assert [row.task for row in rows] == TASKS and len(failures(rows)) == 3
    assert all("'keypoints' needs labels" in str(row.error) for row in rows)
    again = RealFractionBenchmark(grid, tmp_path, command="x").run(quiet=True)
    assert len(again) == 3, "tried again, and not written twice"


def test_the_report_shows_bars_for_every_task_and_a_confusion_matrix_only_for_the_class(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    page = Page(text)
    for task in TASKS:
        assert task in page.text
    assert all(name in page.text for name in ("mean iou", "pck@0.1", *CLASSES))
    dense = text[text.index("mean iou") :]
    assert "true red, predicted" in text[: text.index("mean iou")]
    assert "true red, predicted" not in dense.split("accuracy")[0]
    table = (finished / "table.md").read_text()
    assert all(task in table for task in TASKS)


def row(**changes) -> Row:
    parts = {"arm": "D", "fraction": 0.0, "n_real": 0, "seed": 0, "metric": "mean_iou", "direction": "higher"}
    tallies = {"score": 0.5, "hits": [[1.0], [2.0]], "totals": [[3.0], [3.0]]}
    return Row(**{**parts, "task": "mask", "n_test": 2, **tallies, **changes})


@pytest.mark.parametrize(
    "changes", [{"totals": None}, {"hits": None}, {"totals": [[3.0]]}, {"hits": [[1.0], [2.0], [0.0]]}]
)
def test_hits_without_their_totals_are_damage(changes: dict) -> None:
    with pytest.raises(DataError, match=r"hits and totals.*\(key: hits\)"):
        row_from_json(row_to_json(row(**changes)))


def test_seeds_of_different_tests_are_refused() -> None:
    other = row(seed=1, hits=[[1.0]], totals=[[2.0]], n_test=1)
    with pytest.raises(DataError, match="trained or tested on different data"):
        gather([row(), other])
    with pytest.raises(DataError, match="two different results"):
        gather([row(), row(score=0.4)])


def test_tallies_that_do_not_give_the_score_are_not_resampled() -> None:
    cells = gather([row(score=0.9), row(seed=1, score=0.8)])["mask"].cells
    assert cells["D", 0.0].counts().hits.shape == (2, 1, 1), "seeds alone"
