"""The gated environment on the small plant, with faults put into its sensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import PassiveEnvChecker

from perceptransfer.core.errors import ProtocolError
from perceptransfer.policy.gates import Evidence, Kind, Reading
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.plant import PlanarPlant, PlantDynamics, PlantReach, ReachStart
from tests.policy.gates.arm import planar_gate

START = ReachStart((-0.6, 1.2), (0.25, 0.1))


class FaultyPlant(PlanarPlant):
    """A plant whose sensors go wrong from the third tick on."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.sent = fault, []

    def step(self, action: Any) -> Evidence:
        evidence = super().step(action)
        self.sent.append(np.array(action))
        if len(self.sent) < 3:
            return evidence
        position = evidence.readings["joint_position"]
        others = {name: r for name, r in evidence.readings.items() if name != "joint_position"}
        return {
            "nan": replace(
                evidence, readings={**others, "joint_position": position._replace(value=position.value * np.nan)}
            ),
            "missing": replace(evidence, readings=others),
            "stale": replace(
                evidence, readings={**others, "joint_position": position._replace(time=position.time - 1)}
            ),
            "future": replace(
                evidence, readings={**others, "joint_position": position._replace(time=position.time + 1)}
            ),
            "human": replace(evidence, human=True),
            "hot": replace(
                evidence,
                readings={**evidence.readings, "joint_temperature": Reading(np.array([90.0, 20.0]), position.time)},
            ),
        }[self.fault]


def gated(hardware: PlanarPlant | None = None, **options: Any) -> GatedEnv:
    return GatedEnv(HardwareEnv(hardware or PlanarPlant(), PlantReach()), planar_gate(), **options)


def test_it_is_a_plain_gymnasium_environment() -> None:
    env = PassiveEnvChecker(gated())
    env.reset(seed=0)
    for _ in range(5):
        env.step(env.action_space.sample())


def test_five_values_and_the_tick_in_info() -> None:
    env = gated()
    observation, info = env.reset(options={"start": START})
    assert observation.shape == (6,) and isinstance(info["evidence"], Evidence)
    result = env.step(np.array([0.1, 0.1], np.float32))
    assert len(result) == 5
    tick = result[4]["gate"]
    assert isinstance(tick, Tick) and tick.decision.kind is Kind.PASS and tick.number == 0 and tick.audit.violated == ()


@pytest.mark.parametrize("fault", ["nan", "missing", "stale", "future", "human", "hot"])
def test_a_fault_stops_the_robot_in_the_next_tick(fault: str) -> None:
    plant = FaultyPlant(fault)
    env = gated(plant, stop_reward=-7.0)
    env.reset(options={"start": START})
    for _ in range(3):
        *_, truncated, info = env.step(np.array([0.2, 0.0]))
        assert not truncated
    sent = len(plant.sent)
    _, reward, terminated, truncated, info = env.step(np.array([0.2, 0.0]))
    decision = info["gate"].decision
    assert decision.kind is (Kind.HUMAN if fault == "human" else Kind.STOP) and decision.executed is None
    assert (reward, terminated, truncated) == (-7.0, False, True)
    assert all(not action.any() for action in plant.sent[sent:]), "only the plant's own stop moves after that"
    assert (info["gate"].audit.violated == ("heat",)) == (fault == "hot")


def test_a_nan_action_never_reaches_the_robot() -> None:
    plant = FaultyPlant("nan")
    env = gated(plant)
    env.reset(options={"start": START})
    *_, info = env.step(np.array([np.nan, 5.0]))
    assert info["gate"].decision.kind is Kind.HOLD
    np.testing.assert_array_equal(plant.sent, [[0.0, 0.0]])


@pytest.mark.parametrize(
    "dynamics", [PlantDynamics(), PlantDynamics(friction=0.2, delay=0.1, backlash=0.05, payload=0.4)]
)
def test_whatever_is_proposed_the_measured_state_stays_inside(dynamics: PlantDynamics) -> None:
    ticks: list[Tick] = []
    env, rng = gated(record=ticks.append), np.random.default_rng(0)
    corners = np.array([[9, 9], [9, -9], [-9, 9], [-9, -9]], float)
    for episode in range(8):
        env.reset(seed=episode, options={"dynamics": dynamics})
        done = False
        while not done:
            rush = corners[(episode // 2) % 4]
            action = rush if episode % 2 else rng.normal(0, 2, 2)
            *_, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
    assert len(ticks) > 500 and not [t for t in ticks if t.audit.violated]
    assert {t.decision.kind for t in ticks} >= {Kind.PASS, Kind.CLIP}


def test_an_environment_without_evidence_is_refused() -> None:
    class Blind(gymnasium.Wrapper):  # type: ignore[type-arg]
        def reset(self, **options: Any) -> Any:
            return self.env.reset(**options)[0], {}

    env = GatedEnv(Blind(HardwareEnv(PlanarPlant(), PlantReach())), planar_gate())
    with pytest.raises(ProtocolError, match="no evidence"):
        env.reset()
