"""One benchmark cell as a typed row, and the JSON-lines file that a killed grid leaves readable."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import output_errors


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one cell (arm, fraction, seed, task) measured; a failed cell has ``error`` and no ``score``.

    ``n_real`` counts the real labels trained on and ``n_val`` those spent on validation. ``score`` is taken on the real
    test, ``score_synthetic`` on held-out synthetic images by the same model, both in the unit of ``metric``.
    ``confusion[i][j]`` counts test items of class i predicted as j. ``correct`` holds one ``1`` or ``0`` per test item,
    in the same item order in all cells; ``groups`` (scene, subject, ...) and ``labels`` (class index) run beside it.
    Other tasks have ``hits`` and ``totals`` ``[items][classes]`` instead, see `metrics.Tally`.
    ``keys`` are those of the trained stages, ``setup`` is `Cells.setup`: rows of one folder have one.
    ``extra`` keeps fields that this version does not know.
    """

    arm: str
    fraction: float
    n_real: int
    seed: int
    metric: str
    direction: str
    score: float | None = None
    task: str = "class"
    n_val: int = 0
    score_synthetic: float | None = None
    per_class: Mapping[str, float | None] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    ece: float | None = None
    n_test: int | None = None
    seconds: float | None = None
    train_seconds: float | None = None
    keys: list[str] = field(default_factory=list)
    setup: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    test_reads: int | None = None
    error: str | None = None
    correct: str | None = None
    groups: list[str | int] | None = None
    labels: list[int] | None = None
    hits: list[list[float]] | None = None
    totals: list[list[float]] | None = None
    details: Mapping[str, float | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_labels(self) -> int:
        """Real labels spent: those trained on and those used for validation."""
        return self.n_real + self.n_val

    @property
    def cell(self) -> tuple[str, str, float, int]:
        """What identifies the cell: task, arm, fraction, seed."""
        return self.task, self.arm, self.fraction, self.seed


_FIELDS = {item.name for item in dataclasses.fields(Row)} - {"extra"}
_TEXT, _WHOLE, _NUMBER = (str,), (int,), (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("arm", "metric", "direction", "task", "setup", "error", "correct"), _TEXT),
    **dict.fromkeys(("n_real", "n_val", "seed", "n_test", "test_reads"), _WHOLE),
    **dict.fromkeys(("fraction", "score", "score_synthetic", "ece", "seconds", "train_seconds"), _NUMBER),
    **dict.fromkeys(("confusion", "keys", "groups", "labels", "hits", "totals"), (list,)),
    **dict.fromkeys(("per_class", "report", "details"), (dict,)),
}
_REQUIRED = ("arm", "fraction", "n_real", "seed", "metric", "direction")
_NULLABLE = {item.name for item in dataclasses.fields(Row) if item.default is None}


def row_to_json(row: Row) -> str:
    """One line of JSON without its newline.

    Raises:
        DataError: a value that is not finite or is no plain data.
    """
    plain = {item.name: getattr(row, item.name) for item in dataclasses.fields(row)}
    extra = plain.pop("extra")
    try:
        return json.dumps({**extra, **plain}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a result that cannot be written as JSON ({error})",
            where=f"cell {row.cell}",
            remedy="store the cell as a row with `error` instead of a score that is not finite",
        ) from error


def row_from_json(line: str | bytes, where: str = "row") -> Row:
    """Inverse of `row_to_json`.

    Raises:
        DataError: no JSON object, a field that is missing or of the wrong kind, or neither score nor error.
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        plain = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise _damaged(f"not JSON ({error})", where) from error
    if not isinstance(plain, dict):
        raise _damaged("not a JSON object", where)
    for name in _REQUIRED:
        if name not in plain:
            raise _damaged("a field is missing", where, name)
    for name, value in plain.items():
        if name in _KINDS and not _fits(name, value):
            raise _damaged(f"{value!r:.60} is not what this field holds", where, name)
    known = {name: value for name, value in plain.items() if name in _FIELDS}
    row = Row(**known, extra={name: value for name, value in plain.items() if name not in _FIELDS})
    _check(row, where)
    return row


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a result")


def _fits(name: str, value: Any) -> bool:
    if value is None:
        return name in _NULLABLE
    return isinstance(value, _KINDS[name]) and not isinstance(value, bool)


def _check(row: Row, where: str) -> None:
    if (row.score is None) == (row.error is None):
        raise _damaged("a row has either a score or an error", where, "score")
    if not (math.isfinite(row.fraction) and 0 <= row.fraction <= 1):
        raise _damaged(f"{row.fraction} is outside 0 to 1", where, "fraction")
    if row.direction not in ("higher", "lower"):
        raise _damaged(f"{row.direction!r} is neither 'higher' nor 'lower'", where, "direction")
    if (row.hits is None) != (row.totals is None) or len(row.hits or []) != len(row.totals or []):
        raise _damaged("hits and totals do not belong together", where, "hits")
    if row.correct is not None:
        if set(row.correct) - {"0", "1"}:
            raise _damaged("holds other characters than 0 and 1", where, "correct")
        for name in ("groups", "labels"):
            beside = getattr(row, name)
            if beside is not None and len(beside) != len(row.correct):
                raise _damaged(f"{len(beside)} entries beside {len(row.correct)} test items", where, name)


def _damaged(problem: str, where: str, key: str | None = None) -> DataError:
    return DataError(problem, where=where, key=key, remedy="delete this line; the grid then runs its cell again")


def read_rows(path: Path) -> list[Row]:
    """All rows of a results file, in file order.

    A last line without its newline that does not parse is what a killed process leaves behind and is skipped.

    Raises:
        DataError: the file is missing, or a line is damaged; the error names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read results: {error.strerror or error}", where=path, remedy="run the benchmark into this folder"
        ) from error
    lines = content.split(b"\n")
    rows = []
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            rows.append(row_from_json(raw, where=f"{path}, line {number}"))
        except DataError:
            if number < len(lines):
                raise
    return rows


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add lines at the end, dropping a torn last line first; on the disk when this returns.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    text = "".join(row_to_json(row) + "\n" for row in rows).encode()
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            tail = file.read().rpartition(b"\n")[2]
            if tail:
                text = _heal(file, tail, str(path)) + text
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _heal(file: Any, tail: bytes, where: str) -> bytes:
    try:
        row_from_json(tail, where)
    except DataError:
        file.truncate(file.tell() - len(tail))
        return b""
    return b"\n"
