"""Append-only record of what was computed from what, in which any later edit shows."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptransfer.core.config import digest
from perceptransfer.core.errors import LedgerError
from perceptransfer.core.files import output_errors, write_atomic

GENESIS = "0" * 64


class Ledger:
    """JSON lines, each holding the hash of the one before (a hash chain, Haber and Stornetta 1991).

    Editing, inserting, removing or reordering rows breaks the chain; rows cut off or added at the end are noticed
    because the last hash also stands in ``<name>.head``. Whoever rewrites every hash and the head file leaves no
    trace: keep a copy of the head elsewhere where that matters.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.head_path = self.path.with_name(self.path.name + ".head")

    def append(self, kind: str, content: Mapping[str, Any]) -> str:
        """Add a row and return its hash. A row torn by a crash is dropped first; it was never part of the chain.

        Raises:
            OutputError: the file cannot be written.
            LedgerError: the last complete row is damaged.
        """
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # several runs may share a ledger
                file.seek(0)
                data = file.read()
                complete = data[: data.rfind(b"\n") + 1]
                if len(complete) < len(data):
                    file.truncate(len(complete))
                lines = complete.splitlines()
                previous = _hash_of(lines[-1], self.path, len(lines)) if lines else GENESIS
                row: dict[str, Any] = {"index": len(lines), "kind": kind, "previous": previous, **content}
                row["hash"] = digest(row)
                # Two hashes stand in the head while a row is under way: only then may the last row be either.
                write_atomic(self.head_path, f"{previous} {row['hash']}\n")
                file.seek(0, os.SEEK_END)
                file.write(json.dumps(row, sort_keys=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                write_atomic(self.head_path, row["hash"] + "\n")
        return str(row["hash"])

    def rows(self) -> list[dict[str, Any]]:
        """All rows, unchecked.

        Raises:
            LedgerError: the file is missing or a line is not JSON.
        """
        try:
            text = self.path.read_text()
        except OSError as error:
            raise LedgerError(f"cannot be read: {error.strerror}", where=self.path) from error
        return [_parse(line, self.path, number) for number, line in enumerate(text.splitlines(), 1)]

    def verify(self) -> int:
        """Check every row against the chain and return their number.

        Raises:
            LedgerError: naming the first line that does not fit.
        """
        previous = GENESIS
        rows = self.rows()
        for number, row in enumerate(rows, 1):
            content = {key: value for key, value in row.items() if key != "hash"}
            if row.get("index") != number - 1 or row.get("previous") != previous:
                raise LedgerError(f"line {number}: rows are missing, added or out of order", where=self.path)
            if digest(content) != row.get("hash"):
                raise LedgerError(f"line {number}: the row was edited", where=self.path)
            previous = str(row["hash"])
        heads = self.head_path.read_text().split() if self.head_path.exists() else [GENESIS]
        if previous not in heads:
            raise LedgerError(
                "rows are missing or added at the end", where=self.path, remedy="restore the file from a copy"
            )
        return len(rows)


def _parse(line: str | bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise LedgerError(f"line {number} is not JSON", where=path, remedy="restore the file from a copy") from error
    if not isinstance(row, dict):
        raise LedgerError(f"line {number} is not a row", where=path, remedy="restore the file from a copy")
    return row


def _hash_of(line: bytes, path: Path, number: int) -> str:
    row = _parse(line, path, number)
    if digest({key: value for key, value in row.items() if key != "hash"}) != row.get("hash"):
        raise LedgerError(f"line {number}: the row was edited", where=path, remedy="restore the file from a copy")
    return str(row["hash"])
