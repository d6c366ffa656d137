"""Checkpoints in safetensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import OutputError, StoreError

STATE = {"b": torch.arange(3.0), "a": torch.tensor([[1, 2]]), "c": torch.ones(2, 3).t()}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    Checkpoint({"encoder": {"x": 1}, "tasks": []}, STATE, {"stage": "pretrain"}).save(tmp_path / "c.safetensors")
    back = Checkpoint.load(tmp_path / "c.safetensors")
    assert back.model == {"encoder": {"x": 1}, "tasks": []} and back.meta == {"stage": "pretrain"}
    assert back.state.keys() == STATE.keys()
    assert all(torch.equal(back.state[name], STATE[name]) for name in STATE)


def test_equal_checkpoints_are_equal_files(tmp_path: Path) -> None:
    for name, state in (("one", STATE), ("two", dict(reversed(STATE.items())))):
        Checkpoint({"encoder": 1, "tasks": 2}, state, {"stage": "x", "a": 1}).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_state_hash_sees_values_names_shapes_and_types() -> None:
    base = Checkpoint({}, {"w": torch.zeros(4)}).state_hash()
    changes = [{"w": torch.ones(4)}, {"v": torch.zeros(4)}, {"w": torch.zeros(2, 2)}, {"w": torch.zeros(4).double()}]
    assert all(Checkpoint({}, change).state_hash() != base for change in changes)
    assert Checkpoint({"other": 1}, {"w": torch.zeros(4)}).state_hash() == base


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(StoreError, match="bad"):
        Checkpoint.load(tmp_path / "bad")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        Checkpoint({}, STATE).save(tmp_path / "file" / "c")
