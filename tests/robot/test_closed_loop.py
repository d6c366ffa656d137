"""Closed loop: rows, workers, films, conditions, and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptransfer.core.errors import ActionError, ConfigError, OutputError, PerceptransferError
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import clone
from perceptransfer.policy import ChunkHead, MLPHead
from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.closed_loop import Condition, Row, conditions, evaluate, evaluate_all
from perceptransfer.robot.collect import collect, true_state
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.expert import reach_expert
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.planar import planar_head
from perceptransfer.robot.policies import HeadPolicy, Observations
from perceptransfer.robot.report import filmstrip, markdown, summarize
from perceptransfer.robot.training import columns
from perceptransfer.robot.worlds import Push, Reach


class Knowing:
    """The expert as a policy: reads the true state, and says where it believes the target, off by ``error``."""

    def __init__(self, keys: tuple[str, ...] = ("state",), error: float = 0.0) -> None:
        self.keys, self.error, self.counts = keys, error, list[int]()
        self._seen: Floats | None = None

    def reset(self, count: int) -> None:
        self.counts.append(count)

    def act(self, observations: Observations) -> Floats:
        assert set(observations) == set(self.keys), "a policy is handed what it asks for and nothing else"
        self._seen = observations["state"][:, 6:8] + [self.error, 0.0]
        return np.array([
            reach_expert({
                "measured": {"joint_position": row[:2]}, "labels": {"tip": row[4:6], "target": row[6:8]},
            })
            for row in observations["state"]
        ])  # fmt: skip

    def estimate(self) -> Floats | None:
        return self._seen


class Constant(Knowing):
    """Always the same action."""

    def __init__(self, action: list[float], keys: tuple[str, ...] = ("state",)) -> None:
        super().__init__(keys)
        self.action = action

    def act(self, observations: Observations) -> Floats:
        return np.array([self.action] * len(observations[self.keys[0]]))

    def estimate(self) -> Floats | None:
        return None


def test_the_expert_succeeds_and_its_error_is_measured() -> None:
    policy = Knowing(error=0.02)
    rows = evaluate(policy, Condition("here", panel("reach", "test", 7)), batch=3).rows
    assert policy.counts == [3, 3, 1], "groups begin together"
    assert [row.start for row in rows] == list(range(7)) and {row.condition for row in rows} == {"here"}
    assert all(row.success and row.distance < 0.03 and 5 < row.steps < 60 for row in rows)
    assert [row.perception_error for row in rows] == pytest.approx([0.02] * 7)


def test_standing_still_fails_after_the_time_limit() -> None:
    rows = evaluate(Constant([0.0, 0.0]), Condition("still", panel("reach", "test", 3))).rows
    assert [(row.success, row.steps, row.perception_error) for row in rows] == [(False, Reach.limit, None)] * 3
    assert all(row.distance > 0.08 for row in rows)


def test_workers_and_batches_change_nothing_pictures_included() -> None:
    looks = Look({"sensor.noise": 0.05, "table.hue": (0.0, 1.0)})
    condition = Condition("c", panel("reach", "test", 5), looks, Dynamics(delay=0.05))
    runs = [
        evaluate(Knowing(("image", "state")), condition, workers=workers, batch=batch, size=16, films=2)
        for workers, batch in ((0, 5), (2, 5), (0, 2))
    ]
    assert runs[0].rows == runs[1].rows == runs[2].rows
    for run in runs[1:]:
        assert len(run.films) == 2
        assert all(np.array_equal(one, other) for one, other in zip(runs[0].films, run.films, strict=True))
    assert [len(film) for film in runs[0].films] == [row.steps + 1 for row in runs[0].rows[:2]]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("action", [[float("nan"), 0.0], [1.0]])
def test_a_policy_that_gives_no_action_is_stopped(workers: int, action: list[float]) -> None:
    with pytest.raises(ActionError, match="the policy's actions are"):
        evaluate(Constant(action), Condition("c", panel("reach", "test", 2)), workers=workers)


def test_an_error_in_a_worker_arrives_as_it_was() -> None:
    from perceptransfer.robot.slots import Episode, Slots

    with Slots("reach", 1, size=0, workers=1) as slots:
        slots.reset([Episode(panel("reach", "test").starts[0], Look(), Dynamics())])
        with pytest.raises(ActionError, match="two finite joint speeds"):
            slots.step({0: np.array([np.inf, 0.0])})
        slots._groups[0][1]._process.kill()
        with pytest.raises(PerceptransferError, match="worker process died"):
            slots.step({0: np.zeros(2)})


def test_standard_conditions() -> None:
    source, target = Look(), Look({"table.hue": 0.5})
    made = {item.name: item for item in conditions("push", source, target, 4, Dynamics(delay=0.02))}
    assert list(made) == [
        "source", "target", "held_out, source", "held_out, target", "edge, source", "edge, target", "delay 50 ms",
        "delay 100 ms", "delay 150 ms",
    ]  # fmt: skip
    assert made["target"].look is target and made["target"].panel == made["source"].panel == panel("push", "test", 4)
    assert made["delay 150 ms"].dynamics.delay == pytest.approx(0.17) and made["edge, source"].panel.name == "edge"


def cloned(head: MLPHead | ChunkHead) -> HeadPolicy:
    demos = collect(Reach(size=0), panel("reach", "train", 50).starts)
    clone(head, columns(demos, ("state",), horizon=head.horizon), Optim(400, lr=2e-3), seed=0, batch_size=128)
    return HeadPolicy(head)


@pytest.mark.parametrize("kind", ["mlp", "chunk"])
def test_cloning_fifty_demonstrations_of_the_true_state_solves_reach(kind: str) -> None:
    seed_everything(0)
    policy = cloned(MLPHead(8, 2, hidden=(64, 64)) if kind == "mlp" else ChunkHead(8, 2, horizon=4, hidden=(64, 64)))
    rows = evaluate_all(policy, [Condition("test", panel("reach", "test", 25))])
    assert sum(row.success for row in rows) >= 22


def test_ten_demonstrations_of_the_true_state_solve_push_in_any_direction_with_a_planar_head() -> None:
    demos = collect(Push(size=0), panel("push", "train", 10).starts, noise=0.05)
    seed_everything(0)
    head = planar_head("push", None)
    clone(head, columns(demos, ("state",)), Optim(800, lr=2e-3), seed=0, batch_size=128)
    tried = [Condition(name, panel("push", name, 8)) for name in ("test", "held_out")]
    assert sum(row.success for row in evaluate_all(HeadPolicy(head), tried)) >= 14


def test_a_planar_head_finds_places_and_joints_in_both_layouts() -> None:
    world = Push(size=0)
    observation, info = world.reset(seed=3)
    state, target, puck = true_state(observation, info), info["labels"]["target"], info["labels"]["puck"]
    seen = np.concatenate([np.zeros(10), target, puck, observation["proprio"]])
    for head, row in ((planar_head("push", None), state), (planar_head("push", 14), seen)):
        assert row.shape == (head.dim,)
        tip, there, goal = (row[first : first + 2] for first in head.points)
        assert tip == pytest.approx(info["labels"]["tip"][:2], abs=1e-6)
        assert there == pytest.approx(puck) and goal == pytest.approx(target)
        assert row[head.joints : head.joints + 2] == pytest.approx(world.start.joints)
    with pytest.raises(ConfigError, match="pose"):
        planar_head("push", 3)


def test_a_head_sees_its_keys_in_order_and_the_encoder_floats() -> None:
    head = MLPHead(2 + 6, 2, hidden=())
    seen: list[torch.Tensor] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images.mean((2, 3))[:, :2]

    policy = HeadPolicy(head, ("image", "proprio"), encode, target=slice(0, 2))
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[..., 0] = 255
    assert policy.estimate() is None
    actions = policy.act({"proprio": np.ones((3, 6)), "image": images})
    assert seen[0].shape == (3, 3, 4, 4) and policy.estimate() == pytest.approx(np.array([[1.0, 0.0]] * 3))
    wanted = head(torch.tensor([[1.0, 0.0] + [1.0] * 6] * 3)).detach()
    assert actions == pytest.approx(wanted.numpy(), abs=1e-6)
    policy.reset(3)
    assert policy.estimate() is None


def row(condition: str, success: bool, error: float | None = None) -> Row:
    return Row(condition, "test", 0, success, 0.01 if success else 0.05, 10, error)


def test_summary_and_table_by_hand() -> None:
    rows = [row("source", i < 8, 0.01) for i in range(10)] + [row("target", False) for _ in range(4)]
    source, target = summarize(rows)
    assert (source.success.successes, source.success.trials) == (8, 10)
    assert source.distance == pytest.approx(0.018) and source.perception_error == pytest.approx(0.01)
    assert target.perception_error is None and target.success.low == 0
    lines = markdown([source, target]).splitlines()
    assert lines[2] == "| source | 8/10 (49–94 %) | 1.8 | 1.0 |"
    assert lines[3] == "| target | 0/4 (0–49 %) | 5.0 | – |"


def test_filmstrip(tmp_path: Path) -> None:
    films = [np.full((5, 8, 8, 3), 10, np.uint8), np.full((2, 8, 8, 3), 200, np.uint8)]
    films[0][-1] = 99
    filmstrip(films, tmp_path / "new" / "strip.png", frames=3)
    pixels = np.asarray(Image.open(tmp_path / "new" / "strip.png"))
    assert pixels.shape == (2 * 16, 3 * 16, 3)
    assert pixels[0, 0, 0] == 10 and pixels[0, -1, 0] == 99 and pixels[-1, 0, 0] == 200
    with pytest.raises(OutputError):
        filmstrip(films, tmp_path / "new" / "strip.png" / "below.png")
