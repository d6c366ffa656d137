"""What gated fine-tuning of a saved policy is put together from, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy import MLPHead
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.finetuning import SPREADS, Subset, target_conditions, tunable
from perceptransfer.robot.look import Look
from perceptransfer.robot.tuning_report import claim_lines, table


def head() -> MLPHead:
    torch.manual_seed(0)
    return MLPHead(8, 2, hidden=(8,)).eval()


def test_final_starts_are_new_and_delays_come_on_top(looks: dict[str, Look]) -> None:
    shift = Dynamics(0.6, delay=0.05)
    learning, watch, final = target_conditions("reach", looks["target"], shift, learning=5, watch=6, final=7)
    assert [len(c.starts) for c in (learning, watch, *final)] == [5, 6, 7, 7, 7, 7]
    assert set(learning.starts).isdisjoint(watch.starts)
    for condition in final:
        assert set(condition.starts).isdisjoint({*learning.starts, *watch.starts})
    delays = {c.name: round(c.options["dynamics"].delay, 3) for c in final}
    assert delays == {"held-out starts": 0.05, "delay +50 ms": 0.1, "delay +100 ms": 0.15, "edge": 0.05}
    assert all(c.options["look"] is looks["target"] and c.options["dynamics"].joint_friction == 0.6 for c in final)
    with pytest.raises(ConfigError, match="key: watch"):
        target_conditions("reach", looks["target"], shift, watch=0)


def test_looks_alike_are_named_alike_in_a_runs_identity(looks: dict[str, Look]) -> None:
    assert repr(looks["target"]) == repr(looks["target"].changed({}, name="elsewhere"))
    assert repr(looks["target"]) != repr(looks["source"])


@pytest.mark.parametrize("subset", list(SPREADS))
def test_a_subset_begins_at_the_head_and_is_the_same_again(subset: Subset) -> None:
    seen = torch.randn(5, 8)
    before = head()(seen).detach()
    one, other = tunable(head(), subset, seed=3), tunable(head(), subset, seed=3)
    torch.testing.assert_close(one.module(seen), before)
    assert one.state_hash() == other.state_hash() and 0 < len(one.vector()) < 300


def report() -> dict[str, Any]:
    side = {"successes": 1, "n": 4, "interventions": 3, "ticks": 200, "violations": 0, "perception_error": 0.0123}
    better = {**side, "successes": 3, "interventions": 5, "ticks": 150}
    claims = {
        "improvement": {"supported": True, "frozen": side, "tuned": better, "gained": 2, "lost": 0, "p": 0.25},
        "safety": {
            "supported": True, "violations": 0, "proposed_ticks": 900, "violation_rate_per_tick_at_most": 1 / 300,
            "interventions_spent": 20, "budget": 100,
        },
        "deployment": {"supported": False, "min_success": 0.8, "conditions": {"edge": {**better, "rate": 0.75}}},
    }  # fmt: skip
    return {"claims": claims, "refused": None, "conditions": {"edge": {"frozen": side, "tuned": better}}}


def test_the_table_and_the_claims_by_hand() -> None:
    made = report()
    line = table(made).splitlines()[2]
    assert line == "| edge | 1/4 (5–70 %) | 3/4 (30–95 %) | 3/200 → 5/150 | 0 | 1.2 → 1.2 |"
    better, safe, ready = claim_lines(made)
    assert "improvement supported: 1 of 4 starts frozen, 3 tuned; gained 2, lost 0, p = 0.25" in better
    assert "0 of 900 proposed ticks" in safe and "at most 0.0033 a tick" in safe and "20 of 100" in safe
    assert "NOT supported: worst condition edge with 3 of 4, demanded 80%" in ready
    made["conditions"]["edge"]["tuned"]["perception_error"] = None
    assert table(made).endswith("| – |\n")
    assert claim_lines({"claims": None, "refused": "too wild"}) == ["nothing was tuned: too wild"]
