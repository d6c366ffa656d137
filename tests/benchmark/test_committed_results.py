"""Results in the repository belong to the code and configuration beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from perceptransfer.benchmark import Grid
from perceptransfer.benchmark.rows import read_rows
from perceptransfer.core.config import digest, identity_of, instantiate
from perceptransfer.core.ledger import Ledger


@pytest.mark.parametrize("name", ["digits", "identical"])  # the others need photos
def test_the_command_that_made_them_would_train_the_same_stages(checkout: Path, name: str) -> None:
    folder = checkout / "benchmarks" / "real_fraction" / "results" / name
    grid = instantiate(yaml.safe_load(json.loads((folder / "run.json").read_text())["config"]))
    assert isinstance(grid, Grid)
    rows, ledger = read_rows(folder / "results.jsonl"), Ledger(folder / "ledger.jsonl")
    assert {row.cell[1:] for row in rows} == {(cell.arm, cell.fraction, cell.seed) for cell in grid.cells()}
    ledger.verify()
    stages = {row["key"]: row["identity"] for row in ledger.rows() if row["kind"] == "stage"}
    assert {key for row in rows for key in row.keys} == set(stages)
    # Keys hold the pictures too, which fonts and libraries of a machine decide; what is done with them is in these.
    planned = {digest(identity_of(stage.stage)) for cell in grid.cells() for stage in grid.open(cell)[2]}
    assert {digest(identity) for identity in stages.values()} == planned
    assert len({row.setup for row in rows}) == 1
