"""Gated episodes as demonstrations: every tick's proposal, decision and constraints, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceptransfer.policy.gates import Kind
from perceptransfer.robot.demonstrations import Demonstration, read_demonstrations, write_demonstrations
from perceptransfer.robot.gate_columns import describe_gate, gated_demonstrations, sent_ticks
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.plant import PlanarPlant, PlantReach, ReachStart
from perceptransfer.robot.training import columns
from tests.policy.gates.arm import planar_gate
from tests.robot.test_gated import FaultyPlant

START = ReachStart((-0.6, 1.2), (0.25, 0.1))


def record(actions: list[Any], plant: PlanarPlant | None = None) -> tuple[list[Tick], Demonstration]:
    """The first actions of one episode."""
    ticks: list[Tick] = []
    env = GatedEnv(HardwareEnv(plant or PlanarPlant(), PlantReach()), planar_gate(), record=ticks.append)
    env.reset(options={"start": START})
    for action in actions:
        env.step(action)
    (made,) = gated_demonstrations(ticks, env.gate)
    return ticks, made


def test_columns_say_what_the_ticks_say() -> None:
    ticks, made = record([np.array([0.1, 0.2]), np.array([3.0, 0.0]), np.array([np.nan, 0.1])])
    assert made.extra["gate.decision"].tolist() == [0, 1, 2]
    assert made.extra["gate.intervened"].tolist() == [False, True, True]
    assert made.extra["gate.blocked"].tolist() == [False, False, True]
    assert np.array_equal(made.extra["gate.proposed"], [[0.1, 0.2], [3, 0], [np.nan, 0.1]], equal_nan=True)
    assert np.array_equal(made.actions, [tick.decision.executed for tick in ticks])
    assert made.actions[0].tolist() == [0.1, 0.2] and made.actions[2].tolist() == [0, 0]
    moved = np.linalg.norm(made.actions - made.extra["gate.proposed"], axis=1)
    assert np.allclose(made.extra["gate.correction"], moved, equal_nan=True) and np.isnan(moved[2])
    assert made.rewards.tolist() == [tick.reward for tick in ticks]


def test_g_stands_in_the_order_of_the_description() -> None:
    ticks, made = record([np.array([3.0, 0.0])])
    names = list(describe_gate(planar_gate())["constraints"])
    for column, g in (
        ("gate.g_before", ticks[0].decision.before),
        ("gate.g_after", ticks[0].decision.after),
        ("gate.g_measured", ticks[0].audit.g),
    ):
        assert dict(zip(names, made.extra[column][0].tolist(), strict=True)) == g
    assert (made.extra["gate.g_before"][0] > 0).any() and not (made.extra["gate.g_after"][0] > 0).any()


def test_what_was_seen_and_measured_is_from_before_the_action() -> None:
    ticks, made = record([np.array([0.5, 0.0]), np.array([0.5, 0.0])])
    assert made.obs["proprio"][0, :2] == pytest.approx(START.joints)
    assert made.states[0] == pytest.approx([*START.joints, 0, 0])
    assert made.states[1, 0] > made.states[0, 0]
    assert np.array_equal(made.obs["proprio"], [tick.observation for tick in ticks])


@pytest.mark.parametrize(("fault", "kind"), [("human", Kind.HUMAN), ("missing", Kind.STOP), ("nan", Kind.STOP)])
def test_the_tick_in_which_nothing_was_sent_is_kept(fault: str, kind: Kind) -> None:
    _, made = record([np.array([0.2, 0.0])] * 4, FaultyPlant(fault))
    assert made.extra["gate.decision"][-1] == list(Kind).index(kind) and made.extra["gate.blocked"].tolist()[-1]
    assert made.extra["gate.human"].tolist() == [False] * 3 + [fault == "human"]
    assert made.actions[-1].tolist() == [0, 0] and np.isnan(made.extra["gate.correction"][-1])
    assert made.dones.tolist() == [False] * 3 + [True]
    assert np.isnan(made.extra["gate.g_before"][-1]).all() == (fault != "human")
    assert np.isnan(made.states[-1, :2]).all() == (fault != "human")
    assert sent_ticks(made).tolist() == [True] * 3 + [False]
    table = columns([made], ("proprio",))
    assert table["action"].shape == (3, 2) and np.array_equal(table["features"], made.obs["proprio"][:3])


@pytest.mark.parametrize("action", [np.zeros(3), np.array(["a", "b"]), np.array(1.0)])
def test_a_proposal_that_is_no_action_is_nan(action: Any) -> None:
    _, made = record([np.zeros(2), action])
    assert np.isnan(made.extra["gate.proposed"][1]).all() and made.extra["gate.decision"].tolist() == [0, 2]


def test_episodes_are_told_apart_and_survive_a_file(tmp_path: Path) -> None:
    ticks: list[Tick] = []
    env = GatedEnv(HardwareEnv(PlanarPlant(), PlantReach()), planar_gate(), record=ticks.append)
    for length in (3, 2):
        env.reset(options={"start": START})
        for _ in range(length):
            env.step(np.array([3.0, 0.0]))
    demos = gated_demonstrations(ticks, env.gate)
    about = {"env_name": "plant", "type": 2, "env_kwargs": {}, "gate": describe_gate(env.gate)}
    write_demonstrations(tmp_path / "gated.hdf5", demos, about)
    found = read_demonstrations(tmp_path / "gated.hdf5")
    assert [len(demo) for demo in found.demos] == [3, 2] and found.env_args == about
    for one, other in zip(demos, found.demos, strict=True):
        wanted, columns = one.columns(), other.columns()
        assert wanted.keys() == columns.keys()
        assert all(np.array_equal(wanted[name], columns[name], equal_nan=True) for name in wanted)
    assert gated_demonstrations([], env.gate) == []
