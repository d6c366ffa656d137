"""The worlds as environments: clock, bounds, sensors, labels, regions, dynamics."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ActionError, ConfigError
from perceptransfer.robot.dynamics import LIMITS, Dynamics
from perceptransfer.robot.expert import EXPERTS
from perceptransfer.robot.panels import panel
from perceptransfer.robot.worlds import WORLDS, ArmWorld, Push, Reach
from perceptransfer.robot.worlds.kinematics import jacobian, joints_at, tip_of, within_limits
from perceptransfer.robot.worlds.servo import Servo

BOTH = pytest.mark.parametrize("kind", [Reach, Push])


@pytest.mark.filterwarnings("ignore::UserWarning")  # the checker dislikes infinite bounds of angles and speeds
@BOTH
def test_gymnasium_accepts_it(kind: type[ArmWorld]) -> None:
    check_env(kind(size=0), skip_render_check=True)


@BOTH
def test_one_tick_is_dt_and_equal_seeds_give_equal_episodes(kind: type[ArmWorld]) -> None:
    ends = []
    for _ in range(2):
        world = kind(size=0)
        world.reset(seed=3)
        for tick in range(1, 6):
            *_, info = world.step(np.array([1.0, -0.5]))
            assert info["measured"]["time"] == pytest.approx(tick * world.dt)
        ends.append(world.data.qpos.copy())
    assert np.array_equal(*ends)


@pytest.mark.parametrize("action", [[np.nan, 0], [np.inf, 0], [0.0], [0.0, 0.0, 0.0]])
def test_what_is_no_action_is_refused_before_anything_moves(action: list[float]) -> None:
    world = Reach(size=0)
    world.reset(seed=0)
    before = world.data.qpos.copy()
    with pytest.raises(ActionError, match="two finite joint speeds"):
        world.step(np.array(action))
    assert np.array_equal(world.data.qpos, before) and world.data.time == 0


def test_the_arm_follows_its_command_and_not_faster_than_its_bound() -> None:
    world = Reach(size=0)
    world.reset(seed=0, options={"start": panel("reach", "test").starts[0]})
    for _ in range(4):
        *_, info = world.step(np.array([0.0, 0.6]))
    assert info["measured"]["joint_speed"] == pytest.approx([0.0, 0.6], abs=0.03)
    for _ in range(4):
        *_, info = world.step(np.array([50.0, 0.0]))
    assert world.action_space.high.tolist() == [2.0, 2.0]
    assert info["measured"]["joint_speed"][0] == pytest.approx(2.0, abs=0.1)


@given(st.floats(0.12, 0.38), st.floats(-1.2, 1.2))
def test_kinematics(radius: float, angle: float) -> None:
    joints = joints_at(radius, angle)
    assert tip_of(joints) == pytest.approx([radius * np.cos(angle), radius * np.sin(angle)], abs=1e-9)
    steps = np.eye(2) * 1e-6
    numeric = np.column_stack([(tip_of(np.array(joints) + step) - tip_of(joints)) / 1e-6 for step in steps])
    assert np.allclose(jacobian(joints), numeric, atol=1e-5)


@BOTH
def test_measured_and_labelled_places_agree_with_kinematics(kind: type[ArmWorld]) -> None:
    world = kind(size=0)
    observation, info = world.reset(seed=1)
    measured, labels = info["measured"], info["labels"]
    assert measured["tip_position"][:2] == pytest.approx(tip_of(measured["joint_position"]), abs=1e-9)
    assert np.array_equal(measured["tip_position"], labels["tip"])
    assert observation["proprio"] == pytest.approx([*measured["joint_position"], 0, 0, *labels["tip"][:2]])
    assert labels["target"].tolist() == list(world.start.target)
    moving = world.step(np.array([1.0, 0.0]))[-1]["measured"]
    expected = np.hypot(*(jacobian(moving["joint_position"]) @ moving["joint_speed"]))
    assert moving["tip_speed"] == pytest.approx(expected, rel=1e-6)


def test_touching_the_puck_is_a_force() -> None:
    world = Push(size=0)
    _, info = world.reset(options={"start": panel("push", "test").starts[0]})
    forces = [info["measured"]["contact_force"]]
    while not info["success"]:
        *_, info = world.step(EXPERTS["push"](info))
        forces.append(info["measured"]["contact_force"])
    assert forces[0] == 0 and 0.1 < max(forces) < 20


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("place", ["test", "held_out", "edge"])
def test_the_expert_solves_every_start(world: str, place: str) -> None:
    env = WORLDS[world](size=0)
    for start in panel(world, place, 12).starts:
        _, info = env.reset(options={"start": start})
        ended = False
        while not ended:
            *_, success, cut, info = env.step(EXPERTS[world](info))
            ended = success or cut
        assert info["success"] and info["distance"] < env.tolerance


def test_success_has_to_be_held() -> None:
    world = Reach(size=0)
    start = panel("reach", "test").starts[0]
    _, info = world.reset(options={"start": start})
    inside = 0
    while not info["success"]:
        *_, info = world.step(EXPERTS["reach"](info))
        inside = inside + 1 if info["distance"] < 0.03 else 0
    assert inside == world.hold


@BOTH
@given(seed=st.integers(0, 10_000))
def test_starts_are_possible_and_not_solved(kind: type[ArmWorld], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for region in ("inside", "held_out", "edge"):
        start = kind.draw_start(rng, region)  # type: ignore[arg-type]
        assert within_limits(start.joints) and within_limits(joints_at(float(np.hypot(*start.target)), 0.0))
        goal = np.array(start.target)
        assert np.hypot(*(goal - (tip_of(start.joints) if start.puck is None else start.puck))) > 0.075


def test_speed_through_delay_gear_and_play_by_hand() -> None:
    delayed = Servo(Dynamics(delay=0.010, gear=0.5), 1, 0.005)
    assert [delayed.speed(np.array([v]))[0] for v in (2.0, 4.0, 6.0, 8.0)] == [0.0, 0.0, 1.0, 2.0]
    # A play of 0.02 rad, first in its middle: 0.01 rad are lost, at 1 rad/s two steps of 5 ms; on turning 0.02 rad.
    loose = Servo(Dynamics(backlash=0.02), 1, 0.005)
    assert [round(loose.speed(np.array([1.0]))[0], 9) for _ in range(4)] == [0, 0, 1, 1]
    assert [round(loose.speed(np.array([-1.0]))[0], 9) for _ in range(6)] == [0, 0, 0, 0, -1, -1]


@pytest.mark.parametrize(
    "changed",
    [
        {"joint_friction": 0.6},
        {"delay": 0.1},
        {"backlash": 0.1},
        {"payload": 1.0},
        {"gear": 0.7},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_parameter_slows_the_start_of_a_motion(changed: dict[str, float]) -> None:
    angles = []
    world = Reach(size=0)
    for dynamics in (Dynamics(), Dynamics(**changed)):
        world.reset(options={"start": panel("reach", "test").starts[0], "dynamics": dynamics})
        before = world.data.qpos[0]
        for _ in range(3):
            world.step(np.array([-1.5, 0.0]))
        angles.append(before - world.data.qpos[0])
    assert 0 <= angles[1] < angles[0] - 1e-3


def test_a_heavier_table_holds_the_puck_back() -> None:
    ways = []
    for friction in (0.1, 1.5):
        world = Push(size=0, dynamics=Dynamics(puck_friction=friction))
        _, info = world.reset(options={"start": panel("push", "test").starts[0]})
        for _ in range(30):
            *_, info = world.step(EXPERTS["push"](info))
        ways.append(np.hypot(*(info["labels"]["puck"] - world.start.puck)))
    assert ways[1] < ways[0]


@pytest.mark.parametrize("name", LIMITS)
def test_dynamics_out_of_range_are_named(name: str) -> None:
    for value in (-0.1, 99.0, float("nan")):
        with pytest.raises(ConfigError, match=rf"dynamics\.{name}"):
            Dynamics(**{name: value})
    assert Dynamics.names() == tuple(LIMITS)


def test_a_wrapper_sees_measured_state() -> None:
    world = gymnasium.Wrapper(Reach(size=0))
    _, info = world.reset(seed=0)
    wanted = {"joint_position", "joint_speed", "joint_torque", "tip_position", "tip_speed", "contact_force", "time"}
    assert info["measured"].keys() == wanted
