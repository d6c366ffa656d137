"""Cells, arms, the schedule, resuming, failing cells."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from perceptransfer.benchmark import ARMS, Grid, RealFractionBenchmark, failures
from perceptransfer.benchmark.arms import total_steps
from perceptransfer.benchmark.rows import read_rows
from perceptransfer.core.config import config_of, evolve, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, FractionError
from perceptransfer.core.ledger import Ledger
from perceptransfer.data import ImageSet
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Store
from perceptransfer.stages import Finetune, Pretrain
from tests.tiny import FewScanned, tiny_data, tiny_pipeline

WITHOUT_WEIGHTS = [name for name, arm in ARMS.items() if not arm.pretrained]
FILES = {
    "results.jsonl",
    "run.json",
    "samples.npz",
    "ledger.jsonl",
    "summary.json",
    "table.md",
    "curve.png",
    "report.html",
}


@pytest.fixture(scope="module")
def data():
    return tiny_data()


class FewerTests(FewScanned):
    """The same training images, but the first test image is missing."""

    def load(self, size: tuple[int, int]) -> ImageSet:
        images = super().load(size)
        first = next(i for i, record in enumerate(images.records) if record.split == "test")
        return images.take([i for i in range(len(images)) if i != first])


def grid_of(data, **changes) -> Grid:
    return Grid(
        **{
            "data": data,
            "pipeline": tiny_pipeline(),
            "arms": WITHOUT_WEIGHTS,
            "fractions": [0, 0.2],
            "seeds": [0, 1],
            **changes,
        }
    )


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    RealFractionBenchmark(grid_of(data), folder, command="perceptransfer benchmark").run(quiet=True)
    return folder


def test_every_arm_has_its_cells_once(data) -> None:
    cells = list(grid_of(data).cells())
    assert len(cells) == len(set(cells))
    counts = Counter((cell.arm, cell.fraction > 0) for cell in cells)
    for name in WITHOUT_WEIGHTS:
        arm = ARMS[name]
        assert counts[name, True] == 2 * arm.labels and counts[name, False] == 2 * arm.zero


def test_arms_differ_in_their_stages_only(data) -> None:
    whole = tiny_pipeline()
    ran = {name: [s for s, stage in arm.build(whole).stages.items() if stage] for name, arm in ARMS.items()}
    assert ran["A"] == ran["D"] == ran["E"] == ["pretrain"]
    assert ran["D'"] == ["pretrain", "specialize"]
    assert ran["F"] == ["pretrain", "finetune"] and ran["G"] == ["pretrain", "align", "finetune"]
    assert ran["H"] == ["pretrain", "self_train", "finetune"] and ran["I"] == list(whole.stages)
    for arm in (ARMS[name] for name in WITHOUT_WEIGHTS):
        assert fingerprint(arm.build(whole).encoder) == fingerprint(whole.encoder)
    for name in ("A+", "D+"):
        assert total_steps(ARMS[name].build(whole)) == total_steps(whole) == 6 + 3 + 4 + 4


def test_plain_finetuning_reads_no_unlabeled_image() -> None:
    whole = tiny_pipeline()
    assert whole.part(Finetune).reads == ("labeled", "synthetic", "unlabeled")
    assert ARMS["F"].build(whole).part(Finetune).reads == ("labeled", "synthetic")


def test_arms_from_pretrained_weights(data, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weights"):
        Grid(data, tiny_pipeline(), arms=["B"])
    folder = tmp_path / "weights"
    folder.mkdir()
    network = timm.create_model("mobilenetv3_small_050", num_classes=0)
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "mobilenetv3_small_050", "num_classes": 0}))
    weights = Encoder(f"local-dir:{folder}")
    grid = Grid(data, tiny_pipeline(), arms=["B", "C"], fractions=[0.2], seeds=[0], weights=weights)
    rows = RealFractionBenchmark(grid, tmp_path / "out", command="x").run(quiet=True)
    assert sorted(row.arm for row in rows) == ["B", "C"] and not failures(rows)
    assert {"B", "C"} <= {arm.name for arm in Grid(data, tiny_pipeline(), weights=weights).arms}
    states = {row.arm: Store(tmp_path / "out/store").get(row.keys[-1]).checkpoint.state for row in rows}
    given = {f"encoder.backbone.{name}": tensor for name, tensor in network.state_dict().items()}
    assert all(torch.equal(states["C"][name], tensor) for name, tensor in given.items()), "the probe is frozen"
    assert not all(torch.equal(states["B"][name], tensor) for name, tensor in given.items())


def test_real_only_reads_no_synthetic_image_and_synthetic_only_no_real_one() -> None:
    whole = tiny_pipeline()
    assert ARMS["A"].build(whole).part(Pretrain).reads == ("labeled",)
    assert ARMS["D"].build(whole).part(Pretrain).reads == ("synthetic",)


def test_arms_whose_stage_is_left_out(data) -> None:
    assert [arm.name for arm in Grid(data, tiny_pipeline()).arms] == ["A", "D", "D'", "E", "F", "G", "H", "I"]
    without = tiny_pipeline(align=None)
    names = [arm.name for arm in Grid(data, without).arms]
    assert "G" not in names and {"A", "D", "F", "H", "I"} <= set(names)
    with pytest.raises(ConfigError, match=r"pipeline\.align"):
        Grid(data, without, arms=["G"])
    with pytest.raises(ConfigError, match="unknown arm 'Z'"):
        Grid(data, without, arms=["Z"])


@pytest.mark.parametrize("fraction", [-0.1, 1.5, 100])
def test_a_fraction_outside_0_to_1(data, fraction: float) -> None:
    with pytest.raises(FractionError, match="fractions"):
        grid_of(data, fractions=[fraction])


def test_the_grid_survives_the_way_to_another_process(data) -> None:
    grid = grid_of(data)
    other = instantiate(json.loads(json.dumps(config_of(grid))))
    assert fingerprint(other) == fingerprint(grid)
    cell = list(grid.cells())[-1]
    assert [p.key for p in other.open(cell)[2]] == [p.key for p in grid.open(cell)[2]]


def test_all_files_are_written_and_every_cell_has_a_row(finished: Path, data) -> None:
    assert {path.name for path in finished.iterdir()} >= FILES
    rows = read_rows(finished / "results.jsonl")
    assert len(rows) == len(list(grid_of(data).cells())) and not failures(rows)
    for row in rows:
        assert row.correct is not None and row.score == pytest.approx(np.mean([c == "1" for c in row.correct]))
        assert row.test_reads == 1 and row.keys and row.seconds is not None
        assert row.n_real == (0 if row.fraction == 0 else row.n_real) and (row.n_real > 0) == (row.fraction > 0)
    same = {(row.seed, row.score) for row in rows if row.fraction == 0 and row.arm in ("D", "F")}
    assert len(same) == 2, "without labels F is D"


def test_the_ledger_tells_of_every_stage_and_cell_and_verifies(finished: Path) -> None:
    ledger = Ledger(finished / "ledger.jsonl")
    kinds = Counter(row["kind"] for row in ledger.rows())
    rows = read_rows(finished / "results.jsonl")
    assert ledger.verify() > 0 and kinds["run"] == 1 and kinds["cell"] == len(rows)
    assert kinds["stage"] == len({key for row in rows for key in row.keys})


def test_running_again_changes_nothing(finished: Path, data) -> None:
    before = {name: (finished / name).read_bytes() for name in ("results.jsonl", "summary.json", "ledger.jsonl")}
    RealFractionBenchmark(grid_of(data), finished, command="perceptransfer benchmark").run(quiet=True)
    assert before == {name: (finished / name).read_bytes() for name in before}


def test_only_unfinished_cells_are_redone_and_the_summary_is_the_same(finished: Path, data, tmp_path: Path) -> None:
    lines = (finished / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[::2]) + lines[1][:40])  # killed in the middle of a row
    store = finished / "store"
    RealFractionBenchmark(grid_of(data), tmp_path, store=store, command="x").run(quiet=True)
    kinds = Counter(row["kind"] for row in Ledger(tmp_path / "ledger.jsonl").rows())
    assert kinds["cell"] == len(lines) // 2 and kinds["stage"] == 0 and kinds["reused"] > 0
    assert (tmp_path / "summary.json").read_bytes() == (finished / "summary.json").read_bytes()


def test_two_processes_give_the_same_summary(finished: Path, data, tmp_path: Path) -> None:
    RealFractionBenchmark(grid_of(data), tmp_path, jobs=2, command="x").run(quiet=True)
    assert (tmp_path / "summary.json").read_bytes() == (finished / "summary.json").read_bytes()


def test_a_failing_arm_becomes_rows_with_its_error_and_is_tried_again(data, tmp_path: Path) -> None:
    broken = evolve(tiny_pipeline().part(Pretrain), lr=1e30, steps=20)
    grid = grid_of(data, pipeline=tiny_pipeline(pretrain=broken), arms=["A", "D", "F"], seeds=[0])
    rows = RealFractionBenchmark(grid, tmp_path, command="x").run(quiet=True)
    assert len(failures(rows)) == len(rows) == len(list(grid.cells()))
    assert all("DivergedError" in str(row.error) and "pretrain.lr" in str(row.error) for row in rows)
    again = RealFractionBenchmark(grid, tmp_path, command="x").run(quiet=True)
    assert len(again) == len(rows)


@pytest.mark.parametrize("changes", [{}, {"seeds": [9]}, {"arms": ["E"], "seeds": [9]}])
@pytest.mark.parametrize("other", ["pipeline", "test"])
def test_a_folder_of_another_set_up_is_refused_and_left_alone(
    finished: Path, data, other: str, changes: dict[str, list[int]]
) -> None:
    before = {name: (finished / name).read_bytes() for name in ("results.jsonl", "run.json", "ledger.jsonl")}
    set_up = {
        "pipeline": {"pipeline": tiny_pipeline(pretrain=Pretrain(steps=7, batch_size=16))},
        "test": {"data": tiny_data(real=FewerTests())},  # no stage reads the test
    }
    with pytest.raises(ConfigError, match="other images, another pipeline"):
        RealFractionBenchmark(grid_of(**{"data": data, **set_up[other], **changes}), finished, command="x").run(
            quiet=True
        )
    assert before == {name: (finished / name).read_bytes() for name in before}


def test_given_weights_are_part_of_the_set_up(data) -> None:
    names, encoder = ["A", "B"], Encoder(options={"widths": [4, 8], "dim": 16})
    with_weights = {
        grid_of(data, arms=names, weights=given).setup() for given in (encoder, evolve(encoder, options={"dim": 8}))
    }
    assert len(with_weights | {grid_of(data, arms=["A"]).setup()}) == 3


def test_an_arm_may_have_some_of_the_fractions_only(data) -> None:
    grid = grid_of(data, arms=["A", "D", "I"], fractions=[0, 0.2, 1], seeds=[0], arm_fractions={"A": [1]})
    assert [(cell.arm, cell.fraction) for cell in grid.cells()] == [("A", 1), ("D", 0), ("I", 0), ("I", 0.2), ("I", 1)]
    fewer = grid_of(data, arms=["D", "I"], fractions=[0], seeds=[0], arm_fractions={"A": [1], "I": [1]})
    assert [(cell.arm, cell.fraction) for cell in fewer.cells()] == [("D", 0)], "a part of a run keeps its file"
    with pytest.raises(ConfigError, match=r"unknown arms \['Z'\]"):
        grid_of(data, arm_fractions={"Z": [1]})


def test_a_folder_filled_in_parts_names_all_its_arms_and_commands(data, tmp_path: Path) -> None:
    for arm in ("A", "D"):
        RealFractionBenchmark(grid_of(data, arms=[arm], seeds=[0]), tmp_path, command=f"make {arm}").run(quiet=True)
    run = json.loads((tmp_path / "run.json").read_text())
    assert list(run["arms"]) == ["A", "D"] and run["command"].splitlines() == ["make A", "make D"]


def test_the_sanity_row_sees_the_same_images_with_permuted_labels(data) -> None:
    grid = grid_of(data, arms=["A", "S"], fractions=[0.2, 1], seeds=[0])
    true, shuffled = ({cell.fraction: grid.domains(cell) for cell in grid.cells() if cell.arm == arm} for arm in "AS")
    for fraction in (0.2, 1.0):
        real, wrong = true[fraction]["labeled"], shuffled[fraction]["labeled"]
        assert real.hashes == wrong.hashes and sorted(real.labels) == sorted(wrong.labels)
        assert (real.labels != wrong.labels).mean() > 0.5
        assert true[fraction]["test"].fingerprint == shuffled[fraction]["test"].fingerprint
    assert "S" not in [arm.name for arm in grid_of(data, arms=None).arms], "a control runs only where it is named"
