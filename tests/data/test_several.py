"""Several sets as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data import Folder, FontDigits, ImageSet, ImageSource, Several, Targets

RNG = np.random.default_rng(0)


class Drawn(ImageSource):
    """Random pictures with masks, and with depth where asked."""

    def __init__(self, count: int, depth: bool = False, classes: tuple[str, ...] = ("a", "b")) -> None:
        self.count, self.depth, self.classes = count, depth, classes

    def load(self, size: tuple[int, int]) -> ImageSet:
        rng = np.random.default_rng(self.count)
        pixels = rng.integers(0, 255, (self.count, *size, 3), dtype=np.uint8)
        arrays = {"mask": rng.integers(0, 2, (self.count, *size)).astype(np.uint8)}
        if self.depth:
            arrays["depth"] = np.ones((self.count, *size), np.float32)
        labels = rng.integers(0, 2, self.count)
        return ImageSet.from_arrays(pixels, labels, self.classes, targets=Targets(arrays, ("none", "thing")))


def test_images_labels_and_masks_stand_end_to_end() -> None:
    first, second = Drawn(3, depth=True), Drawn(5)
    both, a, b = (source.load((6, 8)) for source in (Several([first, second]), first, second))
    assert len(both) == 8 and both.classes == ("a", "b")
    assert np.array_equal(both.images(range(8)), np.concatenate([a.images(range(3)), b.images(range(5))]))
    assert both.labels.tolist() == [*a.labels, *b.labels]
    assert np.array_equal(both.targets.arrays["mask"][3:], b.targets.arrays["mask"])
    assert "depth" not in both.targets.arrays, "only the first has depth"
    assert both.digest() != Several([second, first]).load((6, 8)).digest()


def test_one_source_is_itself() -> None:
    alone = FontDigits(count=10)
    both, plain = Several([alone]).load((16, 16)), alone.load((16, 16))
    assert np.array_equal(both.images(range(10)), plain.images(range(10))) and both.records == plain.records


def test_other_classes_are_refused_by_number() -> None:
    with pytest.raises(DataError, match=r"set 1 has classes \['b', 'a'\]") as caught:
        Several([Drawn(3), Drawn(3, classes=("b", "a"))]).load((6, 8))
    assert caught.value.key == "sources[1]" and caught.value.remedy


def test_no_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="no sources"):
        Several([])


def test_it_is_named_in_a_configuration(tmp_path: Path) -> None:
    several = Several([FontDigits(count=4), Folder(str(tmp_path))])
    again = instantiate(config_of(several))
    assert isinstance(again, Several) and config_of(again) == config_of(several)
