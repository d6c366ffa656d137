"""The ledger: any edit shows."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceptransfer.core.errors import LedgerError, OutputError
from perceptransfer.core.ledger import Ledger


def ledger_of(folder: Path, rows: int = 4) -> Ledger:
    ledger = Ledger(folder / "ledger.jsonl")
    for number in range(rows):
        ledger.append("stage", {"number": number, "score": 0.5 + number / 10})
    return ledger


def test_rows_are_chained_and_verify(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    rows = ledger.rows()
    assert ledger.verify() == 4
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert all(later["previous"] == earlier["hash"] for earlier, later in itertools.pairwise(rows))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_detected(tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / "ledger.jsonl").unlink(missing_ok=True)
    (tmp_path / "ledger.jsonl.head").unlink(missing_ok=True)
    ledger = ledger_of(tmp_path)
    content = bytearray(ledger.path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(33, 126).filter(lambda value: value != content[place]))
    ledger.path.write_bytes(bytes(content))
    with pytest.raises(LedgerError):
        ledger.verify()


@pytest.mark.parametrize("kept", [[0, 1, 2], [1, 2, 3], [0, 2, 3], [0, 2, 1, 3], [0, 1, 2, 3, 3], []])
def test_rows_removed_reordered_or_repeated_are_detected(tmp_path: Path, kept: list[int]) -> None:
    ledger = ledger_of(tmp_path)
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[i] for i in kept))
    with pytest.raises(LedgerError):
        ledger.verify()


def test_a_forged_row_with_a_right_hash_is_detected(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 2)
    forged = Ledger(tmp_path / "copy.jsonl")
    forged.path.write_bytes(ledger.path.read_bytes())
    forged.head_path.write_bytes(ledger.head_path.read_bytes())
    forged.append("stage", {"number": 99})
    ledger.path.write_bytes(forged.path.read_bytes())
    with pytest.raises(LedgerError, match="end"):
        ledger.verify()


def test_a_row_torn_by_a_crash_is_dropped_by_the_next_append(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 2)
    with ledger.path.open("a") as file:
        file.write('{"index": 2, "kind": "sta')
    ledger.append("stage", {"number": 2})
    assert ledger.verify() == 3


def test_a_crash_between_head_and_row_is_no_damage(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 2)
    last = json.loads(ledger.path.read_text().splitlines()[-1])["hash"]
    ledger.head_path.write_text(f"{last} {'f' * 64}\n")
    assert ledger.verify() == 2
    ledger.append("stage", {})
    assert ledger.verify() == 3


def test_appending_to_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 2)
    ledger.path.write_text(ledger.path.read_text().replace('"number": 1', '"number": 7'))
    with pytest.raises(LedgerError, match="line 2"):
        ledger.append("stage", {})


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_rows_cut_off_are_not_hidden_by_the_next_append(tmp_path: Path, cut: int) -> None:
    ledger = ledger_of(tmp_path)
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[:-cut]))
    with pytest.raises(LedgerError, match="end"):
        ledger.append("stage", {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(st.text(max_size=30) | st.just("x" * 20_000), max_size=4), max_size=4))
def test_batches_make_the_same_file_as_single_rows(tmp_path: Path, batches: list[list[str]]) -> None:
    one, many = Ledger(tmp_path / "one.jsonl"), Ledger(tmp_path / "many.jsonl")
    for ledger in (one, many):
        ledger.path.unlink(missing_ok=True)
        ledger.head_path.unlink(missing_ok=True)
    for batch in batches:
        for text in batch:
            one.append("tick", {"text": text})
        many.extend([("tick", {"text": text}) for text in batch])
    if any(batches):
        assert (
            one.path.read_bytes() == many.path.read_bytes() and one.head_path.read_text() == many.head_path.read_text()
        )
        assert many.verify() == sum(map(len, batches))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("torn", [b"", b'{"index": 9, "ki'])
def test_a_crash_anywhere_in_a_batch_leaves_a_ledger_that_goes_on(tmp_path: Path, kept: int, torn: bytes) -> None:
    ledger = ledger_of(tmp_path, 2)
    start, old_head = ledger.path.read_bytes(), ledger.head_path.read_text().strip()
    hashes = ledger.extend([("tick", {"number": number}) for number in range(3)])
    lines = ledger.path.read_bytes()[len(start) :].splitlines(keepends=True)
    # What lies on the disk when the power goes: the head names all rows, the file holds some of them.
    ledger.path.write_bytes(start + b"".join(lines[:kept]) + torn)
    ledger.head_path.write_text(" ".join([old_head, *hashes]) + "\n")
    ledger.append("tick", {"number": 99})
    assert ledger.verify() == 2 + kept + 1


def test_appending_reads_the_end_of_the_file_only(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 3)
    content = bytearray(ledger.path.read_bytes())
    content[5:5] = b" " * 100_000  # damage far from the end: append cannot see it, verify does
    ledger.path.write_bytes(bytes(content))
    ledger.append("stage", {})
    with pytest.raises(LedgerError, match="line 1"):
        ledger.verify()


def test_a_last_line_without_an_index(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, 1)
    ledger.path.write_text('{"index": "x"}\n')
    with pytest.raises(LedgerError, match="no index"):
        ledger.append("stage", {})


def test_a_missing_file_and_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nothing\.jsonl"):
        Ledger(tmp_path / "nothing.jsonl").verify()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        Ledger(tmp_path / "file" / "ledger.jsonl").append("run", {})
