"""Remaining time counts what was trained, not what the store had."""

from __future__ import annotations

import pytest

from perceptransfer.benchmark.cells import Cell
from perceptransfer.benchmark.progress import EVERY_SECONDS, GridProgress
from perceptransfer.benchmark.schedule import Node, Work
from perceptransfer.benchmark.work import Outcome


def test_remaining_time_by_hand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    cell = Cell("D", 0.0, 0)
    work = Work({key: Node(cell, 0, None, 100) for key in "abcd"}, {cell: ["a"]})
    with GridProgress(work) as progress:
        progress.event("reused", "a")
        clock[0] = EVERY_SECONDS * 2
        progress.event("stage", {"key": "b"})  # 100 steps in 30 s, 200 to go
        progress.event("cell", (cell, Outcome({}, error="broken")))
    shown = capsys.readouterr().err
    assert "4 distinct stages" in shown and "about 60 s left" in shown and "50% of the steps" in shown
    assert "failed: arm D" in shown and "broken" in shown
