"""Folders of small images, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptransfer.data import ImageSet

Picture = np.ndarray


def picture(seed: int, height: int = 24, width: int = 24) -> Picture:
    """Random colours, stronger the coarser as in photos, and as unlike each other as photos are."""
    rng, image = np.random.default_rng(seed), np.zeros((height, width, 3))
    for cells, weight in ((2, 0.5), (4, 0.3), (8, 0.2)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        image += weight * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    return image.round().astype(np.uint8)


@pytest.fixture
def draw() -> Callable[..., Picture]:
    return picture


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str, Mapping[str, int]], Path]:
    """Write ``{"train/a": 3}`` images below ``tmp_path / name``; names and contents differ between all calls."""
    made = [0]

    def make(name: str, counts: Mapping[str, int]) -> Path:
        for sub, count in counts.items():
            (tmp_path / name / sub).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                made[0] += 1
                Image.fromarray(picture(made[0])).save(tmp_path / name / sub / f"{i:03d}.png")
        return tmp_path / name

    return make


@pytest.fixture
def real(folder: Callable[[str, Mapping[str, int]], Path]) -> Path:
    """A real folder of two classes: 20 + 10 to train, 4 + 2 to validate, 6 + 6 to test."""
    return folder("real", {"train/a": 20, "train/b": 10, "val/a": 4, "val/b": 2, "test/a": 6, "test/b": 6})


@pytest.fixture
def synthetic(folder: Callable[[str, Mapping[str, int]], Path]) -> Path:
    return folder("synthetic", {"a": 20, "b": 20})


@pytest.fixture
def image_set() -> ImageSet:
    """Twelve images of three classes in two groups."""
    pixels = np.stack([picture(i, 16, 16) for i in range(12)])
    labels: Sequence[int] = [i % 3 for i in range(12)]
    return ImageSet.from_arrays(
        pixels, labels, ("a", "b", "c"), groups=[f"g{i // 6}" for i in range(12)], splits=["train"] * 8 + ["test"] * 4
    )
