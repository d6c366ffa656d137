"""Dynamics that were put in are found again, and what the data do not tell is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import DataError
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.identify import Identified, identify, profile
from perceptransfer.robot.open_loop import OpenLoop
from perceptransfer.robot.panels import panel
from perceptransfer.robot.plant import PlanarPlant, PlantDynamics, PlantReach
from perceptransfer.robot.recording import Recording, excite
from perceptransfer.robot.with_evidence import WithEvidence
from perceptransfer.robot.worlds import Reach

GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"
TRUTH = Dynamics(joint_friction=0.4, delay=0.08, backlash=0.05, payload=0.4, gear=0.7)


def recorded(dynamics: Dynamics, count: int = 3, ticks: int = 40) -> tuple[list[Recording], list[Tick]]:
    env = GatedEnv(WithEvidence(Reach(size=0, dynamics=dynamics)), read_gate(GATE))
    pairs = [
        excite(env, {"start": s}, ticks=ticks, seed=i) for i, s in enumerate(panel("reach", "train", count).starts)
    ]
    return [one for one, _ in pairs], [tick for _, passed in pairs for tick in passed]


@pytest.fixture(scope="module")
def clean() -> list[Recording]:
    return recorded(TRUTH)[0]


@pytest.fixture(scope="module")
def noisy(clean: list[Recording]) -> list[Recording]:
    rng = np.random.default_rng(0)
    return [replace(one, joints=one.joints + 0.001 * rng.standard_normal(one.joints.shape)) for one in clean]


@pytest.fixture(scope="module")
def found(noisy: list[Recording]) -> Identified:
    return identify(noisy, tries=32)


def test_excitation_passes_the_gate_and_records_what_was_carried_out() -> None:
    (one,), ticks = recorded(Dynamics(), count=1)
    assert not any(tick.audit.violated for tick in ticks)
    np.testing.assert_array_equal(one.commands, [tick.decision.executed for tick in ticks])
    assert len(one.joints) == len(one.commands) + 1 and one.period == pytest.approx(0.05)
    assert np.ptp(one.joints, axis=0).min() > 0.2, "an arm that hardly moves tells nothing"
    again, _ = recorded(Dynamics(), count=1)
    np.testing.assert_array_equal(one.joints, again[0].joints)


def test_a_driver_is_recorded_as_the_simulated_world_is() -> None:
    env = GatedEnv(HardwareEnv(PlanarPlant(PlantDynamics(delay=0.1)), PlantReach()), read_gate(GATE))
    one, ticks = excite(env, {}, ticks=20, seed=1)
    assert len(one.commands) == len(ticks) == 20 and one.pictures is None
    assert (one.joints[1] == one.joints[0]).all(), "a delay of two ticks"
    assert not (one.joints[3] == one.joints[0]).all()


def test_the_simulator_with_the_true_dynamics_repeats_the_recording(clean: list[Recording]) -> None:
    loop = OpenLoop(clean)
    assert loop.segments == 12 and loop.off(TRUTH).shape == (12, 10, 2)
    assert loop.rms(TRUTH) < 1e-4 < 0.01 < loop.rms(Dynamics())
    assert OpenLoop(clean, segment=40).rms(TRUTH) < 1e-4, "open loop to the end"


def test_recordings_of_different_length_are_padded_without_weight(clean: list[Recording]) -> None:
    one = clean[0]
    short = Recording(one.times[:18], one.joints[:18], one.speeds[:18], one.commands[:17])
    loop = OpenLoop([short, *clean[1:]])
    assert loop.segments == 10 and (loop.off(Dynamics())[1, 7:] == 0).all()
    assert loop.rms(TRUTH) < 1e-4


def test_dynamics_are_found_within_their_intervals(found: Identified) -> None:
    assert found.unknown == ("puck_friction",) and found.dynamics.puck_friction == Dynamics().puck_friction
    for name, (low, high) in found.intervals.items():
        assert low <= getattr(found.dynamics, name) <= high
        slack = 0.5 * (high - low)  # five intervals at 95 %: one may miss by a little
        assert low - slack <= getattr(TRUTH, name) <= high + slack, name
    assert found.dynamics.delay == pytest.approx(0.08)
    assert found.error[1] < 0.002 < found.error[0]


def test_draws_are_within_the_intervals(found: Identified) -> None:
    drawn = [found.draw(np.random.default_rng(seed)) for seed in range(20)]
    for name, (low, high) in found.intervals.items():
        values = [getattr(one, name) for one in drawn]
        assert low <= min(values) < max(values) <= high
    assert {one.puck_friction for one in drawn} == {found.dynamics.puck_friction}


def test_the_file_reads_back_and_names_what_is_unknown(found: Identified, tmp_path: Path) -> None:
    found.write(tmp_path / "found.yaml")
    read, text = Dynamics.read(tmp_path / "found.yaml"), (tmp_path / "found.yaml").read_text()
    for name in Dynamics.names():
        assert getattr(read, name) == pytest.approx(getattr(found.dynamics, name), rel=1e-3)
    (line,) = [line for line in text.splitlines() if line.startswith("puck_friction")]
    assert "not told" in line and " to " not in line


def test_the_profile_is_flat_for_what_the_data_do_not_tell(noisy: list[Recording], found: Identified) -> None:
    flat = profile(noisy, found.dynamics, "puck_friction", [0.0, 2.0])
    assert flat[0] == pytest.approx(flat[1], rel=1e-3)
    assert min(profile(noisy, found.dynamics, "gear", [0.3, 1.2])) > 3 * flat[0]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"commands": np.zeros((5, 2))}, "recording"),
        ({"joints": np.full((3, 2), np.nan)}, "recording.joints"),
        ({"times": np.array([0.0, 0.05, 0.2])}, "recording.times"),
        ({"times": np.array([0.1, 0.05, 0.0])}, "recording.times"),
    ],
)
def test_a_bad_recording_is_refused(change: dict[str, np.ndarray], key: str) -> None:
    good = {
        "times": np.array([0.0, 0.05, 0.1]), "joints": np.zeros((3, 2)),
        "speeds": np.zeros((3, 2)), "commands": np.zeros((2, 2)),
    }  # fmt: skip
    Recording(**good)
    with pytest.raises(DataError) as caught:
        Recording(**{**good, **change})
    assert caught.value.key == key


def test_no_recordings_and_a_period_off_the_physics_steps_are_refused(clean: list[Recording]) -> None:
    with pytest.raises(DataError, match="no recordings"):
        OpenLoop([])
    with pytest.raises(DataError, match="control periods"):
        OpenLoop([replace(clean[0], times=clean[0].times * 1.05)])
