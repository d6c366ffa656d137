"""The fine-tuning protocol on the small plant: refusal, rollback, budget, frozen weights, kill and resume."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perceptransfer.core.errors import FrozenWeightsError, ProtocolError
from perceptransfer.core.ledger import Ledger
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.plant import LINK, PlanarPlant, PlantDynamics, PlantReach
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.rollout import Condition
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.update import Score, UpdateRule
from tests.policy.gates.arm import planar_gate

SHIFT = {"dynamics": PlantDynamics(friction=0.23, delay=0.05, backlash=0.04, payload=0.3)}


class Transpose(nn.Module):
    """A policy without training: joint rates along the Jacobian's transpose, ``gain`` per square metre."""

    def __init__(self, gain: float = 60.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, seen: Tensor) -> Tensor:
        first, both = seen[:, 0], seen[:, 0] + seen[:, 1]
        fore = LINK * torch.stack([-both.sin(), both.cos()], dim=1)
        shoulder = fore + LINK * torch.stack([-first.sin(), first.cos()], dim=1)
        way = seen[:, 4:] / (seen[:, 4:].norm(dim=1, keepdim=True) / 0.05).clamp(min=1.0)
        return self.gain * torch.stack([(shoulder * way).sum(1), (fore * way).sum(1)], dim=1)


class Fixed(UpdateRule):
    """Proposes given log gains, one per update, after trying each once."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def propose(self, weights: Floats, score: Score, rng: np.random.Generator, update: int) -> Floats:
        score(np.full_like(weights, self.values[update]))
        return np.full_like(weights, self.values[update])


def panels(n: int = 6) -> dict[str, Any]:
    rng, task = np.random.default_rng(3), PlantReach()
    draw = lambda count: tuple(task.draw(rng) for _ in range(count))  # noqa: E731 - one expression
    return {
        "learning": Condition("learning", draw(2), SHIFT),
        "watch": Condition("watch", draw(n), SHIFT),
        "final": [Condition("held out", draw(n), SHIFT)],
    }


def run_of(folder: Path, values: list[float], gain: float = 60.0, **rules: Any) -> GatedFineTuning:
    task = PlantReach()
    task.limit = 50  # long enough for what is told apart here
    env = GatedEnv(HardwareEnv(PlanarPlant(), task), planar_gate())
    policy = TunablePolicy(GainSchedule(Transpose(gain), joints=2))
    declared = Rules(**{"updates": len(values), "max_intervention_rate": 0.3, **rules})
    return GatedFineTuning(env, policy, Fixed(values), declared, folder=folder, **panels())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A good update, a poisoned one, and one that is not finite."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_of(folder, [0.6, 1.5, float("nan")], gain=90.0, max_rise=0.2).run()


def test_a_good_update_stays_and_a_poisoned_one_is_rolled_back_to_the_same_hash(finished: Any) -> None:
    _, report = finished
    good, poisoned, broken = report["updates"]
    assert good["kept"] and good["after"] == good["proposed"] != good["before"]
    assert not poisoned["kept"] and "intervention rate rose" in poisoned["reason"]
    assert poisoned["after"] == poisoned["before"] == good["after"] != poisoned["proposed"]
    assert not broken["kept"] and "not finite" in broken["reason"] and broken["after"] == good["after"]
    assert report["tuned_policy"] == good["after"] != report["frozen_policy"]


def test_claims_have_their_denominators(finished: Any) -> None:
    folder, report = finished
    rows = [row for row in Ledger(folder / "ledger.jsonl").rows() if row["kind"] == "tick"]
    safety = report["claims"]["safety"]
    assert safety["proposed_ticks"] == len(rows) and safety["violations"] == 0 and safety["supported"]
    assert safety["violation_rate_per_tick_at_most"] == pytest.approx(3 / len(rows), rel=0.01)
    assert safety["interventions_spent"] == sum(r["decision"] != "pass" for r in rows if r["update"] is not None)
    improvement = report["claims"]["improvement"]
    change = improvement["tuned"]["successes"] - improvement["frozen"]["successes"]
    assert improvement["tuned"]["n"] == 6 and change == improvement["gained"] - improvement["lost"]
    assert set(report["claims"]["deployment"]["conditions"]) == {"held out"}
    sides = report["conditions"]["held out"]
    assert [sides[side]["successes"] for side in ("frozen", "tuned")] == [
        improvement[side]["successes"] for side in ("frozen", "tuned")
    ]
    assert sum(used["ticks"] for used in report["used"].values()) == len(rows)
    assert report["used"]["baseline"]["episodes"] == 6 and report["used"]["trial"]["episodes"] == 4


def test_every_tick_has_its_row(finished: Any) -> None:
    folder, report = finished
    ledger = Ledger(folder / "ledger.jsonl")
    assert ledger.verify() == len(ledger.rows())
    rows = [row for row in ledger.rows() if row["kind"] == "tick"]
    fields = (
        "proposed executed decision g_before g_after binding validity correction latency_ms measured violated human"
    )
    assert all(row.keys() >= {*fields.split(), "gate", "encoder", "frozen", "policy", "phase", "start"} for row in rows)
    assert {row["gate"] for row in rows} == {report["gate"][:16]}
    json.dumps(rows, allow_nan=False)


def test_a_finished_run_is_not_run_again(finished: Any) -> None:
    folder, report = finished
    before = (folder / "ledger.jsonl").read_bytes()
    assert (
        run_of(folder, [0.6, 1.5, float("nan")], gain=90.0, max_rise=0.2).run()["tuned_policy"]
        == report["tuned_policy"]
    )
    assert (folder / "ledger.jsonl").read_bytes() == before


def test_another_protocol_in_the_same_folder_is_refused(finished: Any) -> None:
    with pytest.raises(ProtocolError, match=r"rules changed"):
        run_of(finished[0], [0.6, 1.5, float("nan")], gain=90.0, max_rise=0.3)


def test_too_many_interventions_of_the_frozen_policy_end_it_before_the_first_update(tmp_path: Path) -> None:
    report = run_of(tmp_path, [0.5], gain=600.0, max_intervention_rate=0.05).run()
    assert "intervention rate of the frozen policy" in report["refused"] and report["updates"] == []
    assert report["claims"] is None and report["tuned_policy"] == report["frozen_policy"]


def test_the_budget_ends_learning(tmp_path: Path) -> None:
    report = run_of(tmp_path, [1.5, 1.5], gain=90.0, intervention_budget=3).run()
    assert len(report["updates"]) == 1 and "budget" in report["updates"][0]["reason"]
    assert report["tuned_policy"] == report["frozen_policy"]


def test_touched_frozen_weights_are_noticed(tmp_path: Path) -> None:
    run = run_of(tmp_path, [0.1])
    with torch.no_grad():
        run.policy.module.base.gain.add_(1e-3)
    with pytest.raises(FrozenWeightsError):
        run.run()


KILLED = """
import os, signal, sys
from pathlib import Path
import tests.robot.test_protocol as t
run = t.run_of(Path(sys.argv[1]), [0.6, 0.7])
if sys.argv[2] == "die":
    step, env = run.env.env.step, run.env.env
    def last(action):
        if run.recorder.context.get("update") == 1 and run.env._number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(action)
    env.step = last
run.run()
"""


def test_killed_in_an_update_it_goes_on_to_the_same_weights(tmp_path: Path, checkout: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    assert subprocess.run([*words, "die"], cwd=checkout).returncode == -9
    ledger = Ledger(tmp_path / "killed" / "ledger.jsonl")
    kinds = [row["kind"] for row in ledger.rows()]
    assert kinds.count("update_begin") == 2 and kinds.count("update_end") == 1
    with ledger.path.open("a") as file:
        file.write('{"kind": "tick", "torn')  # what a power cut may leave besides
    subprocess.run([*words, "go on"], cwd=checkout, check=True)
    assert ledger.verify() > len(kinds)
    assert [row["kind"] for row in ledger.rows()].count("update_abandoned") == 1
    report = json.loads((tmp_path / "killed" / "report.json").read_text())
    assert report["tuned_policy"] == run_of(tmp_path / "whole", [0.6, 0.7]).run()["tuned_policy"]
