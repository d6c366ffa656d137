"""The cross-task matrix: cells, equal budgets, shared stages, tests against the baselines, claims, picture."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perceptransfer.benchmark import CrossTask, RealFractionBenchmark, failures, write_report
from perceptransfer.benchmark.heatmap import matrix_figure
from perceptransfer.benchmark.matrix import summarise_matrix, verdict
from perceptransfer.benchmark.matrix_report import claim_heads, claim_line, write_matrix
from perceptransfer.benchmark.rows import Row, append_rows, read_rows
from perceptransfer.cli import main
from perceptransfer.cli.parse import parser_for
from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, FractionError
from perceptransfer.core.ledger import Ledger
from perceptransfer.metrics import sign_flip_test
from perceptransfer.render.run import render
from perceptransfer.render.spec import read_scene
from perceptransfer.stages import Finetune
from perceptransfer.tasks import Classification, Depth, Segmentation
from tests.benchmark.test_html import RUN
from tests.shapes import Shapes, shapes_data, shapes_pipeline

TASKS = ("class", "segmentation", "keypoints")
MATRIX = replace(RUN, kind="cross_task", claims=["segmentation → keypoints"])


def matrix_of(**changes) -> CrossTask:
    finetune = Finetune(steps=3, head_steps=1, batch_size=8, replay_weight=0.5, pseudo_weight=0.5, rounds=2)
    parts = {"data": shapes_data(), "pipeline": shapes_pipeline(align=None, finetune=finetune)}
    return CrossTask(**{**parts, "fractions": [0.2, 0.5], "seeds": [0, 1], **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    grid = matrix_of(claims=["segmentation → keypoints"])
    RealFractionBenchmark(grid, folder, command="perceptransfer cross-task", title="Shapes").run(quiet=True)
    return folder


def test_every_pair_has_its_cells_once_and_a_column_ends_before_the_next() -> None:
    cells = list(matrix_of().cells())
    assert len(cells) == len(set(cells)) == 3 * 5 * 2 * 2
    columns = [cell.arm.split(" → ")[1] for cell in cells]
    assert list(dict.fromkeys(columns)) == list(TASKS) and columns == sorted(columns, key=TASKS.index)
    some = matrix_of(sources=["segmentation", "none"], targets=["keypoints"])
    assert list(some.pipelines) == ["scratch → keypoints", "segmentation → keypoints", "none → keypoints"]


def test_budgets_are_equal_and_only_the_named_labels_are_read() -> None:
    grid = matrix_of()
    for cell in grid.cells():
        source, target = cell.arm.split(" → ")
        _, domains, plan = grid.open(cell)
        steps, reads = sum(planned.stage.total_steps for planned in plan), [planned.stage.reads for planned in plan]
        assert steps == (3 if source == "none" else 5 + 3)
        assert {planned.stage.batch_size for planned in plan} == {8}
        assert reads == {"scratch": [("labeled",)], "none": [("labeled",)]}.get(source, [("synthetic",), ("labeled",)])
        assert [task.name for task in grid.tasks(cell)] == [target]
        assert len(domains["labeled"]) == {0.2: 6, 0.5: 15}[cell.fraction]


def test_one_pretraining_for_each_task_and_seed() -> None:
    grid = matrix_of()
    plans = {cell: [planned.key for planned in grid.open(cell)[2]] for cell in grid.cells()}
    first = {keys[0] for cell, keys in plans.items() if cell.arm.split(" → ")[0] in TASKS}
    assert len(first) == 3 * 2 and len({keys[-1] for keys in plans.values()}) == len(plans)


def test_the_matrix_survives_the_way_to_another_process() -> None:
    grid = matrix_of()
    other = instantiate(json.loads(json.dumps(config_of(grid))))
    assert fingerprint(other) == fingerprint(grid)
    cell = list(grid.cells())[-1]
    assert [p.key for p in other.open(cell)[2]] == [p.key for p in grid.open(cell)[2]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": ["pose"]}, "sources"),
        ({"targets": ["none"]}, "targets"),
        ({"claims": ["class → pose"]}, "claims"),
        ({"fractions": [0, 0.1]}, "fractions"),
        ({"seeds": []}, "seeds"),
        ({"pipeline": shapes_pipeline()}, "pipeline"),
        ({"pipeline": shapes_pipeline(align=None, pretrain=None)}, "pipeline.pretrain"),
        ({"pipeline": shapes_pipeline(align=None, tasks=[Classification(3, name="none")])}, "tasks"),
    ],
)
def test_what_is_no_matrix_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        matrix_of(**changes)
    with pytest.raises(FractionError, match="fractions"):
        matrix_of(fractions=[10])


def test_every_cell_has_one_row_of_its_target(finished: Path) -> None:
    rows = read_rows(finished / "results.jsonl")
    assert len(rows) == len(list(matrix_of().cells())) and not failures(rows)
    assert all(row.arm.split(" → ")[1] == row.task and row.n_real in (6, 15) for row in rows)
    trained = Counter(row["kind"] for row in Ledger(finished / "ledger.jsonl").rows())["stage"]
    assert trained == 3 * 2 + 3 * 5 * 2 * 2
    assert {"summary.json", "table.md", "heatmap.png"} <= {path.name for path in finished.iterdir()}
    assert not (finished / "report.html").exists()


def test_only_unfinished_cells_are_redone_and_the_summary_is_the_same(finished: Path, tmp_path: Path) -> None:
    lines = (finished / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[::2]) + lines[1][:40])
    grid = matrix_of(claims=["segmentation → keypoints"])
    RealFractionBenchmark(grid, tmp_path, store=finished / "store", command="x").run(quiet=True)
    kinds = Counter(row["kind"] for row in Ledger(tmp_path / "ledger.jsonl").rows())
    assert kinds["cell"] == len(lines) // 2 and kinds["stage"] == 0
    assert (tmp_path / "summary.json").read_bytes() == (finished / "summary.json").read_bytes()


def test_the_report_command_makes_the_matrix_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (finished / name).read_bytes() for name in ("summary.json", "table.md", "heatmap.png")}
    for name in before:
        (finished / name).unlink()
    assert main(["report", str(finished)]) == 0
    assert before == {name: (finished / name).read_bytes() for name in before}
    assert "heatmap.png" in capsys.readouterr().out
    table = before["table.md"].decode()
    assert table.startswith("# Shapes") and "**not testable**" in table and "5 steps on synthetic images" in table
    with Image.open(finished / "heatmap.png") as picture:
        assert picture.width > 1000 and picture.height > 500


def test_a_failing_cell_stands_with_its_target(tmp_path: Path) -> None:
    grid = matrix_of(
        pipeline=shapes_pipeline(align=None, tasks=[Classification(3), Segmentation(4, width=4), Depth(width=4)]),
        data=shapes_data(synthetic=Shapes(60, kinds="mask")),
        sources=["depth", "class"],
        targets=["segmentation"],
        fractions=[0.5],
        seeds=[0],
    )
    rows = RealFractionBenchmark(grid, tmp_path, command="x").run(quiet=True)
    failed = failures(rows)
    assert [(row.arm, row.task) for row in failed] == [("depth → segmentation", "segmentation")]
    assert len(rows) == 3 and "'depth' needs labels" in str(failed[0].error)
    assert "✗ failed" in (tmp_path / "table.md").read_text()


def test_the_command_runs_from_one_file(tmp_path: Path) -> None:
    grid = config_of(matrix_of(seeds=[0], fractions=[0.5], targets=["keypoints"]))["init_args"]
    given = {key: value for key, value in grid.items() if value is not None}
    given["pipeline"], given["data"] = given["pipeline"]["init_args"], given["data"]["init_args"]
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(given))
    words = ["cross-task", "--config", str(tmp_path / "matrix.yaml"), "--jobs", "1", "--output", str(tmp_path / "out")]
    assert main([*words, "--claims", "[class → keypoints]", "--quiet", "true"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {claim["against"] for claim in summary["claims"]} == {"scratch"}
    assert main([*words, "--claims", "[class → pose]"]) != 0


def test_the_shipped_matrix_runs_on_sets_that_are_drawn_here(checkout: Path, tmp_path: Path) -> None:
    scene = read_scene(checkout / "datasets" / "primitives" / "scene.yaml")
    for name, count, seed in (("synthetic", 16, 0), ("real", 24, 1)):
        render(scene, tmp_path / name, count, seed=seed, options={"smooth": False, "shadow_rays": 0})
    words = ["cross-task", "--config", str(checkout / "benchmarks" / "cross_task" / "primitives.yaml")]
    words += [word for name in ("synthetic", "real") for word in (f"--data.{name}.path", str(tmp_path / name))]
    words += ["--pipeline.pretrain.steps", "2", "--pipeline.finetune.steps", "2", "--seeds", "[0]"]
    words += ["--fractions", "[0.5]", "--jobs", "1", "--output", str(tmp_path / "out"), "--quiet", "true"]
    assert main(words) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    tasks = {"class": "accuracy", "segmentation": "mean_iou", "keypoints": "pck@0.1", "depth": "delta1"}
    assert {name: column["metric"] for name, column in summary["targets"].items()} == tasks
    for column in summary["targets"].values():
        assert set(column["fractions"]["0.5"]["sources"]) == {*tasks, "scratch", "none"}
    assert {claim["arm"] for claim in summary["claims"]} == {"segmentation → keypoints"}


def test_the_matrix_of_photos_can_be_read(checkout: Path) -> None:
    parser = parser_for("cross-task")
    made = parser.instantiate(parser.parse_args(["--config", str(checkout / "benchmarks/cross_task/lmo.yaml")]))
    grid = CrossTask(made.data, made.pipeline, made.sources, made.targets, made.fractions, made.seeds, made.claims)
    assert len(list(grid.cells())) == 4 * 6 * 2 * 8
    steps = {arm: description.split(" steps")[0] for arm, description in grid.describe_arms().items()}
    assert steps["scratch → keypoints"] == "1000" and steps["segmentation → keypoints"] == "800"


def rows_of(gain: float, seeds: int, direction: str = "higher", spread: float = 0.01) -> list[Row]:
    """Keypoints from three sources; segmentation is ``gain`` better than scratch, up to ``spread`` by seed."""
    rng, rows = np.random.default_rng(0), []
    sign = 1 if direction == "higher" else -1
    for source, shift in {"scratch": 0.0, "class": 0.05, "segmentation": gain}.items():
        for seed in range(seeds):
            wobble = rng.uniform(-spread, spread) if source == "segmentation" else 0.0
            score = 0.5 + 0.02 * seed + sign * (shift + wobble)
            rows.append(
                Row(
                    arm=f"{source} → keypoints",
                    fraction=0.1,
                    n_real=86,
                    seed=seed,
                    metric="pck@0.1" if direction == "higher" else "abs_rel",
                    direction=direction,
                    score=score,
                    task="keypoints",
                    n_test=100,
                    train_seconds=10.0,
                )
            )
    return rows


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_differences_are_paired_oriented_and_tested(direction: str) -> None:
    rows = rows_of(0.1, 8, direction)
    summary = summarise_matrix(rows, ["segmentation → keypoints"])
    cells = summary["targets"]["keypoints"]["fractions"]["0.1"]["sources"]
    scores = {source: [row.score for row in rows if row.arm.startswith(source)] for source in cells}
    sign = 1 if direction == "higher" else -1
    for other in ("scratch", "class"):
        expected = sign_flip_test(list(sign * (np.array(scores["segmentation"]) - np.array(scores[other]))))
        test = cells["segmentation"]["against"][other]
        assert test["value"] == pytest.approx(expected.mean) and test["value"] > 0
        assert test["p"] == pytest.approx(expected.p) and test["p_holm"] >= test["p"]
        assert test["low"] <= test["value"] <= test["high"]
    assert "scratch" not in cells["scratch"]["against"]
    assert [claim["verdict"] for claim in summary["claims"]] == ["confirmed", "confirmed"]


def test_verdicts() -> None:
    def found(gain: float, seeds: int, spread: float = 0.01) -> tuple[str, str]:
        summary = summarise_matrix(rows_of(gain, seeds, spread=spread), ["segmentation → keypoints"])
        claim = next(claim for claim in summary["claims"] if claim["against"] == "scratch")
        return claim["verdict"], claim_line(claim)

    verdict_8, line = found(0.1, 8)
    assert verdict_8 == "confirmed" and "against from scratch with 86 labels: **+" in line
    assert "p = 0.00781 (Holm over the claim's tests 0.0156): **confirmed**" in line
    assert found(0.1, 6)[0] == "not confirmed", "p = 0.031 twice, from scratch and classification, is 0.062"
    assert found(-0.1, 8)[0] == "contradicted"
    assert found(0.001, 8, spread=0.05)[0] == "not confirmed"
    verdict_5, line = found(0.1, 5)
    assert verdict_5 == "not testable" and "p =" not in line
    assert verdict(1.0, 0.05) == "not confirmed" and verdict(1.0, 0.049) == "confirmed"


def test_a_claim_is_said_once() -> None:
    claims = summarise_matrix(rows_of(0.1, 8), ["segmentation → keypoints"])["claims"]
    assert {claim["against"] for claim in claims} == {"scratch", "class"}
    assert claim_heads(claims) == ["The claim that segmentation → keypoints gains: confirmed in 2 of 2 comparisons.\n"]


def test_a_claim_whose_cells_are_not_finished_has_no_line(tmp_path: Path) -> None:
    rows = [row for row in rows_of(0.1, 6) if not row.arm.startswith("segmentation")]
    summary = summarise_matrix(rows, ["segmentation → keypoints", "class → depth"])
    assert summary["claims"] == []
    append_rows(tmp_path / "results.jsonl", rows)
    write_report(tmp_path, MATRIX)
    assert "scratch" in (tmp_path / "table.md").read_text()


def test_table_and_picture_say_the_same() -> None:
    rows = rows_of(0.1, 6)
    summary = summarise_matrix(rows, [])
    text = write_matrix("T", summary, rows, MATRIX)
    assert "| **segmentation** | 6" in text and "| 10 |" in text and "smallest possible p is 0.031" in text
    drawn = [item.get_text() for axes in matrix_figure(summary, "T").axes for item in axes.texts]
    score = summary["targets"]["keypoints"]["fractions"]["0.1"]["sources"]["segmentation"]["score"]["value"]
    assert f"{100 * score:.1f}" in drawn and any("p = 0.031" in item for item in drawn)
