"""Columns for behaviour cloning, from demonstrations with pictures made here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from perceptransfer.core.errors import DataError
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import clone
from perceptransfer.policy import MLPHead
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.training import columns, with_pose


def demo(ticks: int, seed: int) -> Demonstration:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (ticks, 4, 4, 3), dtype=np.uint8)
    actions = pictures[:, 0, 0, :2].astype(np.float32)
    obs = {"image": pictures, "proprio": rng.random((ticks, 6))}
    return Demonstration(obs, actions, np.zeros(ticks), np.zeros(ticks), np.zeros((ticks, 1)))


DEMOS = [demo(3, 0), demo(4, 1)]


def corner(images: torch.Tensor) -> torch.Tensor:
    return 255 * images[:, :2, 0, 0]


def test_features_stand_in_the_order_of_the_keys() -> None:
    one = columns(DEMOS, ("image", "proprio"), encode=corner, batch_size=2)
    other = columns(DEMOS, ("proprio", "image"), encode=corner)
    assert one["features"].shape == (7, 8)
    assert torch.allclose(one["features"][:, :2], one["action"]), "rows of features and actions belong together"
    assert torch.equal(one["features"].roll(6, 1), other["features"])


def test_chunks_do_not_cross_episodes() -> None:
    made = columns(DEMOS, ("proprio",), horizon=3)
    assert made["action"].shape == (7, 3, 2)
    assert made["mask"].sum(1).tolist() == [3, 2, 1, 3, 3, 2, 1]
    assert torch.equal(made["action"][2, 1], torch.from_numpy(DEMOS[0].actions[-1]))


def test_cached_features_can_be_trained_on_and_pictures_handed_on() -> None:
    seed_everything(0)
    clone(MLPHead(2, 2, hidden=(8,)), columns(DEMOS, ("image",), encode=corner), Optim(2), seed=0, batch_size=4)
    made = columns(DEMOS, ("image", "proprio"))
    assert made["picture"].shape == (7, 3, 4, 4) and made["picture"].dtype == torch.uint8
    assert made["features"].shape == (7, 6)


@pytest.mark.parametrize(("keys", "problem"), [(("state",), "no observation"), (("proprio", "image"), "come first")])
def test_what_cannot_be_used_is_named(keys: tuple[str, ...], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        columns(DEMOS, keys)


def test_the_true_pose_stands_beside_the_observations() -> None:
    places = {"labels/target": np.full((3, 2), 0.1), "labels/puck": np.full((3, 2), 0.2), "labels/tip": np.ones((3, 3))}
    found = with_pose([replace(DEMOS[0], extra=places)])[0]
    assert found.obs["pose"].tolist() == [[0.1, 0.1, 0.2, 0.2]] * 3 and found.obs.keys() == {"image", "proprio", "pose"}
    with pytest.raises(DataError, match="demonstration 1 has no true pose"):
        with_pose([replace(DEMOS[0], extra=places), DEMOS[1]])
