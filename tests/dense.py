"""The smallest experiment with every kind of label: a bright bar on noise, its class, mask, depth and two ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.data import Domain, ImageSet, Targets
from perceptransfer.learning import initial_checkpoint
from perceptransfer.models import Encoder
from perceptransfer.stages import Pretrain
from perceptransfer.tasks import Classification, Depth, Keypoints, Segmentation, Task
from tests.tiny import CPU

SIDE = 24
TASKS: list[Task] = [Classification(2), Segmentation(2, width=8), Keypoints(2, sigma=0.05, width=8), Depth(width=4)]


def bars(role: str, count: int, seed: int, labelled: bool = True) -> Domain:
    """Upright (class 0) or lying (class 1) bars; the first keypoint is the upper or left end."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 70, (count, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    mask = np.zeros((count, SIDE, SIDE), np.uint8)
    points = np.zeros((count, 1, 2, 3), np.float32)
    for i, lying in enumerate(labels):
        x, y = rng.integers(3, 9, 2)
        ends = [(x, y), (x + 11, y)] if lying else [(x, y), (x, y + 11)]
        mask[i, y : ends[1][1] + 3, x : ends[1][0] + 3] = 1
        points[i, 0] = [(x + 1, y + 1, 2), (ends[1][0] + 1, ends[1][1] + 1, 2)]
    pixels[mask == 1] = rng.integers(150, 255, 3, dtype=np.uint8)
    targets = Targets(
        {"mask": mask, "keypoints": points, "depth": np.where(mask, 0.5, 1.0).astype(np.float32)},
        ("floor", "bar"),
        ("first", "second"),
    )
    images = ImageSet.from_arrays(pixels, labels, ("upright", "lying"))
    return Domain(role, images, None, labels if labelled else None, targets if labelled else None)


def bar_domains() -> dict[str, Domain]:
    """Domains of every role that a stage reads."""
    return {
        "synthetic": bars("synthetic", 64, 0),
        "synthetic_val": bars("synthetic_val", 16, 1),
        "unlabeled": bars("unlabeled", 40, 2, labelled=False),
        "device": bars("device", 40, 2, labelled=False),
        "labeled": bars("labeled", 8, 3),
    }


def bar_start(domains: dict[str, Domain], tasks: Sequence[Task] = tuple(TASKS), steps: int = 100) -> Checkpoint:
    """A network that has learnt the synthetic bars."""
    encoder = Encoder(options={"widths": [8, 16, 16], "dim": 16, "downsample": "max", "pool": "avgmax"})
    stage = Pretrain(steps=steps, batch_size=16, lr=3e-3)
    initial = initial_checkpoint(encoder, list(tasks))
    return stage.run(initial, {"synthetic": domains["synthetic"]}, seed=0, runtime=CPU).checkpoint
