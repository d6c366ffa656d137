"""Pictures become what a saved head sees, behind the gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perceptransfer.core.errors import BundleError, ProtocolError
from perceptransfer.policy import ChunkHead, MLPHead, load
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.head_view import HeadView
from perceptransfer.robot.panels import panel
from perceptransfer.robot.policies import HeadPolicy, frozen_features
from perceptransfer.robot.rollout import Condition, run_episode
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.with_evidence import WithEvidence
from perceptransfer.robot.worlds import Reach

GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"
KEYS, POSE, PLACE = ("image", "proprio"), slice(8, 10), slice(0, 2)


def head(dim: int = 8) -> MLPHead:
    torch.manual_seed(0)
    return MLPHead(dim, 2, hidden=(8,)).eval()


def test_the_head_gets_what_the_closed_loop_hands_it(pose_bundle: Path, seeing: Reach) -> None:
    encoder, net = load(pose_bundle, "torch"), head()
    view = HeadView(WithEvidence(seeing), net, KEYS, encoder, POSE, PLACE)
    other = HeadPolicy(net, KEYS, frozen_features(encoder, POSE), PLACE)
    seen, info = view.reset(options={"start": panel("reach", "train", 1).starts[0]})
    for _ in range(3):
        assert seen.shape == view.observation_space.shape and seen.dtype == np.float32
        observation = {"image": seeing._eye().picture(seeing.data)[None], "proprio": seen[None, 2:].astype(np.float64)}
        np.testing.assert_allclose(seen[2:], seeing._observe()["proprio"], rtol=1e-6)
        action = other.act(observation)
        np.testing.assert_allclose(TunablePolicy(GainSchedule(net, 2)).act(seen), action[0], atol=1e-5)
        estimate = other.estimate()
        assert estimate is not None
        expected = np.hypot(*(estimate[0] - info["labels"]["target"]))
        assert info["perception_error"] == pytest.approx(expected, abs=1e-6)
        seen, *_, info = view.step(action[0])


def test_an_episode_behind_the_gate_says_how_far_off_perception_was(pose_bundle: Path, seeing: Reach) -> None:
    net = head()
    view = HeadView(WithEvidence(seeing), net, KEYS, load(pose_bundle, "torch"), POSE, PLACE)
    policy, condition = TunablePolicy(GainSchedule(net, 2)), Condition("c", panel("reach", "train", 1).starts)
    episode = run_episode(GatedEnv(view, read_gate(GATE)), policy, condition, 0)
    assert episode.perception_error is not None and episode.perception_error > 0 and episode.violations == 0
    blind = HeadView(WithEvidence(Reach(size=0)), net, KEYS, target=PLACE)
    assert run_episode(GatedEnv(blind, read_gate(GATE)), policy, condition, 0).perception_error == 0


def test_without_pictures_the_true_state() -> None:
    world = Reach(size=0)
    seen, info = HeadView(world, head(), ("state",)).reset(options={"start": panel("reach", "train", 1).starts[0]})
    np.testing.assert_allclose(seen[6:], world.start.target, rtol=1e-6)
    assert "perception_error" not in info


def test_altered_weights_of_the_encoder_end_it_at_the_next_episode(pose_bundle: Path, seeing: Reach) -> None:
    encoder = load(pose_bundle, "torch")
    view = HeadView(seeing, head(), KEYS, encoder, POSE)
    view.reset()
    next(encoder.program.buffers()).add_(1e-6)
    with pytest.raises(BundleError, match="not the bundle's any more"):
        view.reset()


def test_chunks_are_refused() -> None:
    with pytest.raises(ProtocolError, match="4 actions at once"):
        HeadView(Reach(size=0), ChunkHead(8, 2, 4), ("state",))
