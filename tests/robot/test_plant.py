"""The small plant against hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest

from perceptransfer.robot.heat import MotorHeat
from perceptransfer.robot.planar_arm import jacobian, tool
from perceptransfer.robot.plant import LINK, PERIOD, PlanarPlant, PlantDynamics, PlantReach, ReachStart

START = ReachStart((0.0, 1.0), (0.2, 0.2))


def moved(ticks: int, command: float, **dynamics: float) -> np.ndarray:
    plant = PlanarPlant(PlantDynamics(**dynamics))
    plant.reset(START, {})
    path = [0.0]
    for _ in range(ticks):
        path.append(float(plant.step(np.array([command, 0.0])).readings["joint_position"].value[0]))
    return np.array(path)


def test_without_friction_it_follows_the_command() -> None:
    path = moved(40, 0.5, friction=0.0)
    # A rate servo lags by inertia over gain, here 0.02 / 0.6 s.
    assert path[-1] == pytest.approx(0.5 * (40 * PERIOD - 0.02 / 0.6), abs=0.5 * 0.005 + 1e-6), "to one physics step"


def test_friction_takes_its_share_of_the_rate_and_swallows_small_commands() -> None:
    assert np.diff(moved(40, 0.5, friction=0.12))[-1] / PERIOD == pytest.approx(0.5 - 0.12 / 0.6, rel=1e-6)
    assert moved(20, 0.19, friction=0.12)[-1] == 0


def test_delay_shifts_the_path_in_time() -> None:
    np.testing.assert_allclose(moved(30, 1.0, delay=0.1)[2:], moved(28, 1.0), atol=1e-12)


def test_backlash_loses_half_the_play_at_first() -> None:
    assert moved(30, 1.0)[-1] - moved(30, 1.0, backlash=0.06)[-1] == pytest.approx(0.03, abs=1e-9)


def test_payload_makes_it_slower_to_start() -> None:
    assert moved(2, 1.0, payload=0.5)[-1] < moved(2, 1.0)[-1]


def test_stop_brings_it_to_rest_without_the_queue() -> None:
    plant = PlanarPlant(PlantDynamics(delay=0.2))
    plant.reset(START, {})
    for _ in range(10):
        plant.step(np.array([1.0, 1.0]))
    evidence = plant.stop()
    np.testing.assert_allclose(evidence.readings["joint_velocity"].value, 0, atol=1e-6)


def test_the_jacobian_is_the_derivative_of_the_tool() -> None:
    joints, tiny = np.array([0.3, 1.1]), 1e-6
    numeric = [(tool(joints + tiny * e, LINK) - tool(joints - tiny * e, LINK)) / (2 * tiny) for e in np.eye(2)]
    np.testing.assert_allclose(jacobian(joints, LINK), np.array(numeric).T, atol=1e-9)
    np.testing.assert_allclose(tool(np.array([0.0, np.pi / 2]), LINK), [LINK, LINK])


def test_heat_by_hand() -> None:
    heat = MotorHeat(1, warming=2.0, cooling=10.0, ambient=20.0)
    assert heat.after(np.array([1.0]), 1e9)[0] == pytest.approx(40.0)
    assert heat.after(np.array([0.0]), 10.0)[0] == pytest.approx(20 + 20 / np.e)


def test_starts_are_apart_and_inside() -> None:
    rng = np.random.default_rng(0)
    for task in (PlantReach(), PlantReach(edge=True)):
        for _ in range(50):
            start = task.draw(rng)
            radius = np.hypot(*start.target)
            assert task.radii[0] <= radius <= task.radii[1]
            assert np.hypot(*(tool(np.array(start.joints), LINK) - start.target)) > 0.08
