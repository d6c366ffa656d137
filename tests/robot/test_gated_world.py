"""The MuJoCo world behind the gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptransfer.policy.gates import Kind, read_gate
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.expert import reach_expert
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.panels import panel
from perceptransfer.robot.with_evidence import WithEvidence
from perceptransfer.robot.worlds import Reach
from perceptransfer.robot.worlds.kinematics import jacobian

GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"


def gated(**dynamics: float) -> GatedEnv:
    return GatedEnv(WithEvidence(Reach(size=0, dynamics=Dynamics(**dynamics))), read_gate(GATE))


def test_evidence_says_what_the_world_measured() -> None:
    world = WithEvidence(Reach(size=0, dynamics=Dynamics(delay=0.05)))
    _, info = world.reset(options={"start": panel("reach", "train", 1).starts[0]})
    for _ in range(4):
        _, _, _, _, info = world.step(np.array([1.0, -1.0]))
    readings, measured = info["evidence"].readings, info["measured"]
    np.testing.assert_array_equal(readings["joint_position"].value, measured["joint_position"])
    np.testing.assert_array_equal(readings["tool_position"].value, measured["tip_position"][:2])
    np.testing.assert_allclose(readings["tool_jacobian"].value, jacobian(measured["joint_position"]), atol=1e-9)
    assert float(readings["actuator_delay"].value) == 0.05
    assert {reading.time for reading in readings.values()} == {measured["time"]} and world.clock() == measured["time"]


@pytest.mark.parametrize("shift", [{}, {"joint_friction": 0.1, "delay": 0.05, "backlash": 0.03, "payload": 0.3}])
def test_an_expert_reaches_behind_the_gate_and_nothing_leaves_the_envelope(shift: dict[str, float]) -> None:
    env, ticks, reached = gated(**shift), list[Tick](), 0
    for start in panel("reach", "test", 6).starts:
        _, info = env.reset(options={"start": start})
        ended = False
        while not ended:
            _, _, success, cut, info = env.step(reach_expert(info))
            ticks.append(info["gate"])
            ended = success or cut
        reached += success
    assert reached == 6 and not any(tick.audit.violated for tick in ticks)
    assert {tick.decision.kind for tick in ticks} <= {Kind.PASS, Kind.CLIP}


def test_a_wild_policy_is_kept_inside() -> None:
    env, rng = gated(delay=0.05), np.random.default_rng(0)
    kinds = set()
    for start in panel("reach", "test", 4).starts:
        env.reset(options={"start": start})
        action, ended = rng.uniform(-2, 2, 2), False
        for number in range(60):
            if ended:
                break
            if number % 10 == 0:
                action = rng.uniform(-4, 4, 2)
            _, _, success, cut, info = env.step(action)
            kinds.add(info["gate"].decision.kind)
            assert not info["gate"].audit.violated
            ended = success or cut
    assert kinds - {Kind.PASS}, "a gate that never interferes was not tried"
