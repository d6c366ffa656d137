"""The fuzz of the benchmark in short, and that it finds what a broken gate lets through."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from perceptransfer.policy.gates import Gate, gate
from perceptransfer.policy.gates.speed import ToolSpeed

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "policy" / "gate_fuzz.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate_fuzz", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(script: ModuleType, count: int = 1000) -> set[str]:
    result = script.fuzz(count, seed=7, chunk=1000)
    assert result["accounted"] == count
    return {name for name, times in result["wrong"].items() if times}


def test_nothing_inadmissible_goes_out(script: ModuleType) -> None:
    result = script.fuzz(3000, seed=1, chunk=1500)
    assert not any(result["wrong"].values()) and result["accounted"] == 3000
    assert all(result["decisions"][kind] > 15 for kind in ("pass", "clip", "hold", "stop", "human"))


def test_a_gate_that_does_not_check_the_sensors_is_found(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "invalid_readings", lambda *_: [])
    assert "executed without valid sensors" in found(script)


def test_a_gate_that_clamps_before_it_looks_is_found(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Gate.check

    def clamping(self: Gate, evidence: Any, action: Any, now: float) -> Any:
        return check(self, evidence, np.nan_to_num(np.clip(action, -2, 2)), now)

    monkeypatch.setattr(Gate, "check", clamping)
    assert "passed or clipped although not finite" in found(script)


def test_a_forgotten_limit_is_found(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToolSpeed, "proposed", lambda *_: -1.0)
    assert "executed and not admissible" in found(script)


def test_a_gate_that_stops_too_often_is_found(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToolSpeed, "measured", lambda *_: 1.0)
    assert "stopped without a reason" in found(script)
