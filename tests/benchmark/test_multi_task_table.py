"""Tables of ``benchmarks/multi_task``: from rows by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def table(checkout: Path) -> Any:
    spec = importlib.util.spec_from_file_location("_tables", checkout / "benchmarks" / "multi_task" / "_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table


def row(arm: str, seed: int, scores: dict[str, float], seconds: float, conflict: float | None = None) -> dict[str, Any]:
    metrics = {"mask": ("mean_iou", "higher"), "depth": ("abs_rel", "lower")}
    pair = {"mean": conflict, "negative": 0.5, "samples": 2, "groups": {"stem": {"mean": None}}}
    weights = {task: {"mean": 1.0, "first": 1.0, "last": 1.0} for task in scores}
    return {
        "arm": arm,
        "seed": seed,
        "scores": {
            task: {"metric": metrics[task][0], "direction": metrics[task][1], "real": value, "synthetic": value}
            for task, value in scores.items()
        },
        "cpu_seconds": seconds / 2,
        "seconds": seconds,
        "peak_mib": 100.0 + seconds,
        "before_mib": 90.0,
        "log": {} if conflict is None else {"pretrain": {"conflict": {"mask and depth": pair}, "weights": weights}},
    }


def test_numbers_by_hand_over_the_seeds_that_all_have(table: Any) -> None:
    rows = [
        row("together: Static", 0, {"mask": 0.5, "depth": 0.2}, 10, conflict=-0.2),
        row("together: Static", 1, {"mask": 0.7, "depth": 0.4}, 20, conflict=0.4),
        row("together: Static", 2, {"mask": 0.0, "depth": 9.0}, 99, conflict=0.9),
        row("alone: mask", 1, {"mask": 0.8}, 4),
        row("alone: mask", 0, {"mask": 0.6}, 2),
        row("alone: depth", 0, {"depth": 0.3}, 5),
        row("alone: depth", 1, {"depth": 0.5}, 7),
    ]
    text = table(rows)
    assert "Static, real images" in text and "2 seeds" in text
    assert "| mask | mean_iou | 0.700 | 0.600 | -0.100 [-0.100, -0.100] |" in text
    assert "| depth | abs_rel | 0.400 | 0.300 | +0.100 [+0.100, +0.100] |" in text, "less error is better"
    assert "| together: Static | 7.5 | 15.0 | 115 | 90 |" in text
    assert "| alone: all 2, one after the other | 4.5 | 9.0 | 106 |" in text
    assert "| pretrain | mask and depth | +0.100 | 50 % | stem none |" in text


def test_one_seed_has_no_interval(table: Any) -> None:
    rows = [
        row("together: Static", 0, {"mask": 0.5, "depth": 0.2}, 10, conflict=-0.2),
        row("alone: mask", 0, {"mask": 0.6}, 2),
        row("alone: depth", 0, {"depth": 0.3}, 5),
    ]
    assert "| mask | mean_iou | 0.600 | 0.500 | -0.100 | not testable" in table(rows)
