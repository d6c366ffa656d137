"""Keypoints and pose from labels: the loss by hand, and a network that finds a dot."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from perceptransfer.alignment import CORAL
from perceptransfer.core.features import Features
from perceptransfer.learning import Optim, PoseModule, fit
from perceptransfer.learning.pose import gaussian_maps
from perceptransfer.models import KeypointEncoder
from tests.tiny import CPU

OPTIONS = {"widths": [8, 16], "dim": 8, "downsample": "stride", "pool": "avg"}


def dots(count: int, generator: torch.Generator, colour: float = 1.0) -> dict[str, Tensor]:
    """Images 32 x 32 with a dot; its pose is its place in m on a table of one metre."""
    places = torch.rand(count, 1, 2, generator=generator) * 1.6 - 0.8
    maps = gaussian_maps(places, 32, 32, 1.5)
    image = colour * maps / maps.amax((2, 3), keepdim=True) + 0.1 * torch.rand(count, 1, 32, 32, generator=generator)
    return {"image": image.expand(-1, 3, -1, -1), "keypoints": places, "pose": places[:, 0] / 2}


def module(steps: int, **changes: object) -> PoseModule:
    torch.manual_seed(0)
    net = KeypointEncoder(options=OPTIONS, keypoints=1, pose=2, stride=2, width=8, hidden=16)
    return PoseModule(net, Optim(steps, 5e-3), ema_decay=None, **changes)  # type: ignore[arg-type]  # any option


def test_gaussian_maps_by_hand() -> None:
    maps = gaussian_maps(torch.tensor([[[0.0, -0.5]]]), 2, 2, 1.0)  # on the edge of two columns, on the first row
    low = math.exp(-0.5) / (2 * (1 + math.exp(-0.5)))
    torch.testing.assert_close(maps[0, 0], torch.tensor([[0.5 - low, 0.5 - low], [low, low]]))


def test_the_loss_is_least_where_maps_and_pose_are_right_and_ignores_what_is_outside() -> None:
    task = module(1)
    keypoints, pose = torch.tensor([[[0.25, -0.25]]]), torch.tensor([[0.1, 0.2]])
    right = gaussian_maps(keypoints, 16, 16, 1.0)
    perfect = Features(torch.cat([keypoints.flatten(1), pose], 1), (right,))
    entropy = -(right * right.log()).sum()
    labels = {"keypoints": keypoints, "pose": pose}
    torch.testing.assert_close(task.pose_loss(perfect, labels), entropy, atol=1e-4, rtol=0)
    off = Features(perfect.pooled + torch.tensor([[0.0, 0.0, 0.03, 0.0]]), (right,))
    # 3 cm off in one of two numbers: Huber of 3 units is 2.5, the mean 1.25, weighted by 0.1.
    torch.testing.assert_close(task.pose_loss(off, labels), entropy + 0.125, atol=1e-4, rtol=0)
    outside = {"keypoints": torch.tensor([[[1.5, 0.0]]]), "pose": pose}
    assert float(task.pose_loss(perfect, outside)) == 0


@pytest.mark.parametrize("aligned", [False, True])
def test_a_dot_is_found(aligned: bool) -> None:
    steps = 120
    task = module(steps, alignment=CORAL() if aligned else None)

    def batches() -> Iterator[dict[str, dict[str, Tensor]]]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(steps):
            unlabeled = {"target": {"image": dots(16, generator, 0.7)["image"]}} if aligned else {}
            yield {"source": dots(32, generator), **unlabeled}

    fit(task, batches(), stage="pose", steps=steps, runtime=CPU)
    held_out = dots(200, torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = task.final_encoder().eval()(held_out["image"]).pooled
    pixels = (found[:, :2] - held_out["keypoints"][:, 0]).norm(dim=1) * 16
    metres = (found[:, 2:] - held_out["pose"]).norm(dim=1)
    assert float(pixels.mean()) < 1.5 and float(metres.mean()) < 0.08
