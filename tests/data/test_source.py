"""Sets of images: pixels in one array or read on demand, and what identifies them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from perceptransfer.core.errors import DataError
from perceptransfer.data import ImageSet, Record


class Backwards:
    """Reads from an array in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __call__(self, index: int) -> np.ndarray:
        return self.pixels[index]


@pytest.fixture
def read_on_demand(image_set: ImageSet) -> ImageSet:
    pixels = image_set.images(range(12))
    return ImageSet(image_set.records, image_set.classes, image_set.size, read=Backwards(pixels))


def test_both_ways_of_holding_pixels_agree(image_set: ImageSet, read_on_demand: ImageSet) -> None:
    chosen = [3, 0, 3]
    np.testing.assert_array_equal(image_set.images(chosen), read_on_demand.images(chosen))
    np.testing.assert_array_equal(image_set.image(5), read_on_demand.image(5))
    assert read_on_demand.images([]).shape == (0, 16, 16, 3)
    assert image_set.digest() == read_on_demand.digest()
    for some in (image_set.take([4, 2]), read_on_demand.take([4, 2])):
        np.testing.assert_array_equal(some.images([1, 0]), image_set.images([2, 4]))
        assert some.labels.tolist() == [1, 2]
        assert some.digest() == image_set.digest([4, 2])
    again = pickle.loads(pickle.dumps(read_on_demand.take([4, 2])))
    np.testing.assert_array_equal(again.image(0), image_set.image(4))


def test_images_are_copies(image_set: ImageSet) -> None:
    image_set.images([0])[:] = 0
    assert image_set.images([0]).any()


def test_the_digest_covers_everything_but_names(image_set: ImageSet) -> None:
    def changed(**values: object) -> ImageSet:
        records = [replace(image_set.records[0], **values), *image_set.records[1:]]
        return ImageSet(records, image_set.classes, image_set.size, pixels=image_set.images(range(12)))

    same = image_set.digest()
    assert changed().digest() == same
    assert changed(name="elsewhere.png").digest() == same
    for values in ({"sha256": "0"}, {"label": 1}, {"group": "x"}, {"split": "test"}):
        assert changed(**values).digest() != same
    assert image_set.digest(list(range(11, -1, -1))) != same
    assert image_set.digest(labels=False) != same
    renamed = ImageSet(image_set.records, ("x", "y", "z"), (16, 16), pixels=image_set.images(range(12)))
    assert renamed.digest() != same
    prepared = ImageSet(
        image_set.records, image_set.classes, (16, 16), pixels=image_set.images(range(12)), preparation="crop"
    )
    assert prepared.digest() != same


def test_stripped_images_know_no_label_name_or_split(image_set: ImageSet) -> None:
    stripped = image_set.stripped()
    assert all(record.label is None and record.split is None for record in stripped.records)
    assert not any(record.name == known.name for record, known in zip(stripped.records, image_set.records, strict=True))
    with pytest.raises(DataError, match="no label"):
        _ = stripped.labels


def test_what_does_not_fit_is_refused(image_set: ImageSet) -> None:
    pixels = image_set.images(range(12))
    with pytest.raises(DataError, match="expected uint8"):
        ImageSet(image_set.records, image_set.classes, (16, 16), pixels=pixels[:5])
    with pytest.raises(DataError, match="expected uint8"):
        ImageSet(image_set.records, image_set.classes, (16, 16), pixels=pixels.astype(np.float32))
    with pytest.raises(DataError, match="not both"):
        ImageSet(image_set.records, image_set.classes, (16, 16))
    with pytest.raises(DataError, match=r"label 3 has no class among \['a'"):
        ImageSet([Record("x", "", label=3)], ("a", "b", "c"), (16, 16), pixels=pixels[:1])
