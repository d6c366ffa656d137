"""Why an episode failed: one case for each cause, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from perceptransfer.robot.attribution import attributions
from perceptransfer.robot.rollout import Episode


def episode(**changes: Any) -> Episode:
    given = {
        "start": 3, "success": False, "total_reward": -10.0, "ticks": 40, "decisions": {"pass": 40}, "violations": 0,
        "missed": 0, "only_margin": 0, "invalid": 0, "final_distance": 0.1,
    }  # fmt: skip
    return Episode(**{**given, **changes})


@pytest.mark.parametrize(
    ("failed", "frozen", "cause"),
    [
        ({"missed": 1}, {"success": True}, "wrong gate"),
        ({"decisions": {"pass": 15, "clip": 25}, "only_margin": 25}, {}, "wrong gate"),
        ({"decisions": {"pass": 36, "hold": 4}, "invalid": 4}, {"success": True}, "sensor"),
        ({"decisions": {"pass": 39, "stop": 1}}, {"success": True}, "unsafe proposal"),
        ({"decisions": {"pass": 36, "clip": 4}}, {}, "unsafe proposal"),
        ({"decisions": {"pass": 37, "clip": 3}}, {}, "gap"),
        ({"total_reward": -4.0}, {"success": True, "total_reward": -5.0}, "misleading reward"),
        ({"total_reward": -6.0}, {"success": True, "total_reward": -5.0}, "harmful update"),
        ({}, {}, "gap"),
    ],
)
def test_causes(failed: dict[str, Any], frozen: dict[str, Any], cause: str) -> None:
    (found,) = attributions([episode(**failed)], [episode(**frozen)])
    assert found.cause == cause and found.start == 3 and found.new == bool(frozen.get("success"))
    assert found.to_row()["why"]


def test_a_success_needs_no_cause() -> None:
    assert attributions([episode(success=True)], [episode()]) == []
