"""Append-only record of what was computed from what, in which any later edit shows."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from perceptransfer.core.config import digest
from perceptransfer.core.errors import LedgerError
from perceptransfer.core.files import output_errors, write_atomic

GENESIS = "0" * 64
RESTORE = "restore the file from a copy"
_BLOCK = 8192  # bytes read at once when the last row is looked for


class Ledger:
    """JSON lines, each holding the hash of the one before (a hash chain, Haber and Stornetta 1991).

    Editing, inserting, removing or reordering rows breaks the chain; rows cut off or added at the end are noticed
    because the last hash also stands in ``<name>.head``. Whoever rewrites every hash and the head file leaves no
    trace: keep a copy of the head elsewhere where that matters. Appending reads the last row only.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.head_path = self.path.with_name(self.path.name + ".head")

    def append(self, kind: str, content: Mapping[str, Any]) -> str:
        """Add a row and return its hash. A row torn by a crash is dropped first; it was never part of the chain.

        Raises:
            OutputError: the file cannot be written.
            LedgerError: the last complete row is damaged, or rows were cut off or added behind the ledger's back.
        """
        return self.extend([(kind, content)])[-1]

    def extend(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Add several rows with one flush to the disk, which costs more than the rows; return their hashes.

        A crash on the way leaves the first rows of the batch or none, and a ledger that verifies.

        Raises:
            OutputError: the file cannot be written.
            LedgerError: as `append`.
        """
        entries = list(entries)
        if not entries:
            return []
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # several runs may share a ledger
                index, previous = self._end(file)
                lines, hashes = _chained(entries, index, previous)
                # While rows are under way the head names each of them: a crash may leave any of them as the last.
                write_atomic(self.head_path, " ".join([previous, *hashes]) + "\n")
                file.seek(0, os.SEEK_END)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                write_atomic(self.head_path, hashes[-1] + "\n")
        return hashes

    def recover(self) -> None:
        """Drop a row that a crash left torn at the end of an existing file, as the next `append` would.

        Raises:
            OutputError: the file cannot be written.
            LedgerError: as `append`.
        """
        with output_errors(self.path), self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._end(file)

    def rows(self) -> list[dict[str, Any]]:
        """All rows, unchecked.

        Raises:
            LedgerError: the file is missing or a line is not JSON.
        """
        try:
            text = self.path.read_text()
        except OSError as error:
            raise LedgerError(f"cannot be read: {error.strerror}", where=self.path) from error
        return [_parse(line, self.path, f"line {number}") for number, line in enumerate(text.splitlines(), 1)]

    def verify(self) -> int:
        """Check every row against the chain and return their number.

        Raises:
            LedgerError: naming the first line that does not fit.
        """
        previous = GENESIS
        rows = self.rows()
        for number, row in enumerate(rows, 1):
            if row.get("index") != number - 1 or row.get("previous") != previous:
                raise LedgerError(f"line {number}: rows are missing, added or out of order", where=self.path)
            previous = _checked_hash(row, self.path, f"line {number}")
        self._check_head(previous)
        return len(rows)

    def _end(self, file: IO[bytes]) -> tuple[int, str]:
        """Drop a torn row; index of the next row and hash of the last."""
        line, size = _last_line(file)
        if size < file.seek(0, os.SEEK_END):
            file.truncate(size)
        if not line:
            self._check_head(GENESIS)
            return 0, GENESIS
        row = _parse(line, self.path, "the last line")
        index = row.get("index")
        if not isinstance(index, int):
            raise LedgerError("the last line has no index", where=self.path, remedy=RESTORE)
        previous = _checked_hash(row, self.path, f"line {index + 1}")
        self._check_head(previous)
        return index + 1, previous

    def _check_head(self, last: str) -> None:
        heads = self.head_path.read_text().split() if self.head_path.exists() else [GENESIS]
        if last not in heads:
            raise LedgerError("rows are missing or added at the end", where=self.path, remedy=RESTORE)


def _chained(entries: list[tuple[str, Mapping[str, Any]]], index: int, previous: str) -> tuple[bytes, list[str]]:
    lines, hashes = [], []
    for number, (kind, content) in enumerate(entries, index):
        row: dict[str, Any] = {"index": number, "kind": kind, "previous": previous, **content}
        previous = row["hash"] = digest(row)
        hashes.append(previous)
        lines.append(json.dumps(row, sort_keys=True).encode() + b"\n")
    return b"".join(lines), hashes


def _last_line(file: IO[bytes]) -> tuple[bytes, int]:
    """The last line that ends in a newline, without it, and the length of the file up to its end."""
    place = file.seek(0, os.SEEK_END)
    tail, size = b"", 0
    while place > 0:
        start = max(0, place - _BLOCK)
        file.seek(start)
        tail, place = file.read(place - start) + tail, start
        end = tail.rfind(b"\n")
        size = place + end + 1
        before = tail.rfind(b"\n", 0, end) if end >= 0 else -1
        if before >= 0:
            return tail[before + 1 : end], size
    return tail[: tail.rfind(b"\n") + 1].rstrip(b"\n"), size


def _parse(line: str | bytes, path: Path, what: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise LedgerError(f"{what} is not JSON", where=path, remedy=RESTORE) from error
    if not isinstance(row, dict):
        raise LedgerError(f"{what} is not a row", where=path, remedy=RESTORE)
    return row


def _checked_hash(row: Mapping[str, Any], path: Path, what: str) -> str:
    content = {key: value for key, value in row.items() if key != "hash"}
    if digest(content) != row.get("hash"):
        raise LedgerError(f"{what}: the row was edited", where=path, remedy=RESTORE)
    return str(row["hash"])
