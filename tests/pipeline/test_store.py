"""The store: complete or absent, damage detected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import OutputError, StoreError
from perceptransfer.pipeline import Store

KEY = "ab" + "0" * 62
CHECKPOINT = Checkpoint({"encoder": {}, "tasks": []}, {"w": torch.arange(100.0)})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.put(KEY, CHECKPOINT, {"steps": 3}, {"seed": 0})
    return store


def test_what_is_put_can_be_got(store: Store) -> None:
    entry = store.get(KEY)
    assert KEY in store and list(store.keys()) == [KEY]
    assert torch.equal(entry.checkpoint.state["w"], torch.arange(100.0))
    assert entry.report == {"steps": 3} and entry.provenance == {"seed": 0}


def test_an_absent_key(store: Store) -> None:
    other = "cd" + KEY[2:]
    assert other not in store and store.find(other) is None
    with pytest.raises(StoreError):
        store.get(other)


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "entry.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_entry_is_detected_removed_and_can_be_made_again(store: Store, name: str, damage: str) -> None:
    path = store.path(KEY) / name
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(bytes(content[: len(content) // 2]))
    elif damage == "flip":
        content[-20] ^= 1 if name.endswith("safetensors") else 255
        path.write_bytes(bytes(content))
    else:
        path.unlink()
    with pytest.raises(StoreError, match=KEY):
        store.get(KEY)
    assert store.find(KEY) is None and KEY not in store
    store.put(KEY, CHECKPOINT, {}, {})
    assert store.get(KEY).key == KEY


def test_an_entry_under_another_key_is_refused(store: Store) -> None:
    other = "ab" + "1" * 62
    store.path(KEY).rename(store.path(other))
    with pytest.raises(StoreError, match="damaged"):
        store.get(other)


def test_a_full_disk_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    other = "ee" + KEY[2:]
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        store.put(other, CHECKPOINT, {}, {})
    assert other not in store
    assert not list(store.root.glob(".writing-*")) and list(store.keys()) == [KEY]


def test_the_first_of_two_writers_stays(store: Store) -> None:
    store.put(KEY, CHECKPOINT, {"steps": 99}, {})
    assert store.get(KEY).report == {"steps": 3}


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        Store(tmp_path / "file")
