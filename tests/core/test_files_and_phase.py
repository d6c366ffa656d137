"""Atomic files, seeds, phases, errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from perceptransfer.core.errors import ConfigError, LeakageError, OutputError, PerceptransferError, TestDomainError
from perceptransfer.core.files import sha256_file, write_atomic
from perceptransfer.core.phase import current_phase, phase
from perceptransfer.core.seeding import derive_seed, seed_everything


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "f"
    write_atomic(target, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_atomic(target, "new")
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["f"]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_phases_nest_and_return() -> None:
    assert current_phase() == "idle"
    with phase("training"):
        with phase("selection"):
            assert current_phase() == "selection"
        assert current_phase() == "training"
    assert current_phase() == "idle"


@pytest.mark.parametrize("outer", ["training", "selection"])
def test_evaluation_cannot_be_entered_from_training_or_selection(outer: str) -> None:
    with pytest.raises(TestDomainError, match=outer), phase(outer), phase("evaluation"):  # type: ignore[arg-type]
        pass
    assert current_phase() == "idle"


def test_derived_seeds_are_stable_distinct_and_in_range() -> None:
    assert derive_seed("a", 1) == derive_seed("a", 1)
    seeds = {derive_seed("a", i) for i in range(500)} | {derive_seed("ab"), derive_seed("a", "b")}
    assert len(seeds) == 502 and all(0 <= seed < 2**31 for seed in seeds)


def test_seed_everything_repeats_torch() -> None:
    seed_everything(3)
    first = torch.rand(4)
    seed_everything(3)
    assert torch.equal(first, torch.rand(4))


def test_errors_hold_their_parts_and_survive_pickling() -> None:
    error = LeakageError("twice", where=Path("a/b.png"), key="leakage", remedy="remove it")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is LeakageError and str(back) == str(error)
    assert str(error) == "a/b.png: twice (key: leakage)\n  remedy: remove it"
    assert issubclass(ConfigError, PerceptransferError) and ConfigError.exit_code == 2
