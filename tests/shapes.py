"""Rectangles of three colours with every kind of label, made on the spot: the smallest data for dense tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptransfer.data import ImageSet, ImageSource, TransferData
from perceptransfer.data.targets import IGNORE, Targets
from perceptransfer.models import Encoder
from perceptransfer.pipeline import Pipeline
from perceptransfer.stages import Align, Finetune, Pretrain
from perceptransfer.tasks import Classification, Keypoints, Segmentation

CLASSES = ("red", "green", "blue")
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
FLIP = (1, 0, 3, 2)


class Shapes(ImageSource):
    """One rectangle an image; its colour is the class, its corners are the keypoints, it stands 0.5 m before 1 m.

    ``kinds`` are the dense labels given. With ``split`` two thirds of the images are for training, the others for the
    test; three consecutive images make a group. ``dim`` darkens the picture: another domain.
    """

    def __init__(
        self, count: int = 36, seed: int = 0, dim: float = 1.0, split: bool = False, kinds: str = "mask,depth,keypoints"
    ) -> None:
        self.count, self.seed, self.dim, self.split, self.kinds = count, seed, dim, split, kinds

    def load(self, size: tuple[int, int]) -> ImageSet:
        rng = np.random.default_rng(self.seed)
        n, (height, width) = self.count, size
        labels = np.arange(n) % 3
        pixels = rng.integers(60, 90, (n, height, width, 3)).astype(np.float64)
        mask = np.zeros((n, height, width), np.uint8)
        depth = np.ones((n, height, width), np.float32)
        keypoints = np.zeros((n, 1, 4, 3), np.float32)
        for i, label in enumerate(labels):
            top, left = rng.integers(2, height // 3), rng.integers(2, width // 3)
            bottom, right = rng.integers(height // 2, height - 3), rng.integers(width // 2, width - 3)
            inside = np.s_[i, top : bottom + 1, left : right + 1]
            pixels[inside] = np.eye(3)[label] * 150 + 60
            mask[inside], depth[inside] = label + 1, 0.5
            corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
            keypoints[i, 0] = [(x, y, 2 - (k == 0 and i % 4 == 0)) for k, (x, y) in enumerate(corners)]
        mask[:, 0], depth[:, 0] = IGNORE, 0
        arrays: dict[str, Any] = {"mask": mask, "depth": depth, "keypoints": keypoints}
        named = self.kinds.split(",") if self.kinds else []
        return ImageSet.from_arrays(
            (pixels * self.dim).astype(np.uint8),
            labels,
            CLASSES,
            groups=[f"g{i // 3}" for i in range(n)],
            splits=["test" if i // 3 % 3 == 2 else "train" for i in range(n)] if self.split else None,
            targets=Targets({key: arrays[key] for key in named}, ("background", *CLASSES), CORNERS, FLIP),
        )


def shapes_data(**changes: Any) -> TransferData:
    parts = {"synthetic": Shapes(60), "real": Shapes(45, 1, 0.7, True), "real_fraction": 0.5, "leakage": "off"}
    return TransferData(**{**parts, "size": (24, 24), **changes})


def shapes_pipeline(**changes: Any) -> Pipeline:
    parts: dict[str, Any] = {
        "pretrain": Pretrain(steps=5, batch_size=8),
        "align": Align(steps=3, batch_size=8),
        "finetune": Finetune(steps=3, head_steps=1, batch_size=8),
    }
    encoder = Encoder(options={"widths": [4, 8], "dim": 8, "image_size": [24, 24]})
    parts["tasks"] = [Classification(3), Segmentation(4, width=4), Keypoints(4, width=4)]
    return Pipeline(encoder, **{**parts, "self_train": None, "specialize": None, **changes})
