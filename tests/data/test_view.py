"""Changes of view: pictures, masks, depth and keypoints move together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.data import (
    Augmentation,
    Domain,
    ImageSet,
    NoAugmentation,
    Stream,
    StrongAugmentation,
    WeakAugmentation,
    batches,
)
from perceptransfer.data.batches import as_shares
from perceptransfer.data.targets import IGNORE, Targets
from perceptransfer.data.view import View
from tests.shapes import FLIP, Shapes

SIZE = (56, 72)
LIMITS = {
    "rotate_degrees": (-180.0, 180.0),
    "shear_degrees": (-25.0, 25.0),
    "log_scale": (-0.3, 0.3),
    "shift_share": (-0.15, 0.15),
    "lens_distortion": (-0.2, 0.2),
}
VARIABLES = st.fixed_dictionaries({name: st.floats(*limits) for name, limits in LIMITS.items()})


def only(flip: bool = False, **values: float) -> StrongAugmentation:
    """One change of view and nothing else."""
    return StrongAugmentation(0.0, flip=flip, ranges={name: [value, value] for name, value in values.items()})


def blobs(points: np.ndarray) -> tuple[np.ndarray, Targets]:
    """A soft bright disc an image about ``points [n, 2]``, with labels that say where it is."""
    rows, columns = np.indices(SIZE)
    far = np.hypot(columns - points[:, 0, None, None], rows - points[:, 1, None, None])
    light = np.clip(4.5 - far, 0, 1)
    keypoints = np.full((len(points), 1, 1, 3), 2, np.float32)
    keypoints[:, 0, 0, :2] = points
    arrays = {"mask": (light > 0.5).astype(np.uint8), "depth": np.where(light > 0.5, 2, 1).astype(np.float32)}
    pixels = np.repeat((light * 255).astype(np.uint8)[..., None], 3, -1)
    return pixels, Targets({**arrays, "keypoints": keypoints})


def centre(weights: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y)."""
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@given(VARIABLES, st.booleans(), st.integers(0, 99))
def test_picture_mask_depth_and_keypoints_move_together(values: dict[str, float], flip: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels, targets = blobs(rng.uniform([26, 20], [46, 36], (4, 2)))
    moved, labels = only(flip, **values).labelled(pixels, targets, seed)
    assert torch.equal(moved, only(flip, **values)(pixels, seed)), "labels change nothing about the picture"
    for i, keypoint in enumerate(labels.arrays["keypoints"][:, 0, 0]):
        if not (8 < keypoint[0] < SIZE[1] - 9 and 8 < keypoint[1] < SIZE[0] - 9):
            continue  # cut off at the border, or doubled by the reflection beyond it
        inside = labels.arrays["mask"][i] == 1
        assert np.abs(centre(moved[i, 0].numpy() * (labels.arrays["mask"][i] != IGNORE)) - keypoint[:2]).max() < 0.4
        assert np.abs(centre(inside) - keypoint[:2]).max() < 0.6
        np.testing.assert_array_equal(labels.arrays["depth"][i] == 2, inside)
        bright = moved[i, 0].numpy() > 0.5
        assert (bright & ~inside & (labels.arrays["mask"][i] != IGNORE)).sum() + (inside & ~bright).sum() < 25
        assert keypoint[2] == 2


@given(VARIABLES, st.booleans(), st.integers(0, 99))
def test_places_are_mapped_there_and_back(values: dict[str, float], mirror: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle, scale = np.deg2rad(values["rotate_degrees"]), np.exp(values["log_scale"])
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    linear[:, 0] *= -1 if mirror else 1
    matrix = np.concatenate([linear, rng.uniform(-5, 5, (2, 1))], 1)[None]
    view = View(matrix, np.array([values["lens_distortion"]]), np.array([mirror]), SIZE)
    results = rng.uniform([0, 0], [71, 55], (1, 20, 2))
    # The definition, written out: where each pixel of the result comes from.
    offset, middle = results[0] - view.centre, view.centre
    bent = offset * (1 + values["lens_distortion"] * (offset**2).sum(1, keepdims=True) / (middle**2).sum())
    sources = bent @ linear.T + linear @ middle + matrix[0, :, 2]
    np.testing.assert_allclose(view.points(sources[None]), results, atol=1e-5)


def test_a_quarter_turn_a_shift_and_a_mirror_by_hand() -> None:
    pixels = np.zeros((1, 9, 9, 3), np.uint8)
    keypoints = np.array([[[[4, 1, 2], [7, 4, 1]]]], np.float32)
    mask = np.zeros((1, 9, 9), np.uint8)
    mask[0, 1, 4] = 3
    targets = Targets({"mask": mask, "keypoints": keypoints}, keypoint_flip=(1, 0))
    shifted = only(shift_share=1 / 3).labelled(pixels, targets, 0)[1].arrays
    np.testing.assert_allclose(shifted["keypoints"][0, 0], [[7, 4, 2], [10, 7, 1]], atol=1e-5)
    assert shifted["mask"][0, 4, 7] == 3 and (shifted["mask"] == IGNORE).sum() == 81 - 36
    turned = only(rotate_degrees=90.0).labelled(pixels, targets, 0)[1].arrays
    x, y = turned["keypoints"][0, 0, 0, :2]
    assert (round(float(x)), round(float(y))) in ((1, 4), (7, 4))
    assert turned["mask"][0, round(float(y)), round(float(x))] == 3
    mirror = View(np.array([[[-1.0, 0, 8], [0, 1, 0]]]), None, np.array([True]), (9, 9)).targets(targets).arrays
    # Left and right change names: what was the second keypoint, mirrored, is now the first.
    np.testing.assert_allclose(mirror["keypoints"][0, 0], [[1, 4, 1], [4, 1, 2]])
    assert mirror["mask"][0, 1, 4] == 3


def test_keypoints_of_objects_that_have_no_mirror_image_are_not_mirrored() -> None:
    pixels = np.zeros((64, 9, 9, 3), np.uint8)
    targets = Targets({"keypoints": np.ones((64, 1, 2, 3), np.float32)}, keypoint_flip=None)
    with pytest.raises(ConfigError, match=r"no keypoints \(key: flip\)"):
        only(flip=True).labelled(pixels, targets, 0)
    only(rotate_degrees=9.0).labelled(pixels, targets, 0)
    only(flip=True).labelled(pixels, Targets({"mask": np.zeros((64, 9, 9), np.uint8)}, keypoint_flip=None), 0)


def test_mirroring_changes_left_and_right_in_mirrored_images_only() -> None:
    images = Shapes(200).load((24, 24))
    pixels, before = images.images(range(200)), images.targets.arrays["keypoints"]
    moved, after = StrongAugmentation(0.0, flip=True).labelled(pixels, images.targets, 0)
    mirrored = (moved - NoAugmentation()(pixels)).abs().amax((1, 2, 3)).numpy() > 1e-3
    assert 70 < mirrored.sum() < 130
    found, flipped = after.arrays["keypoints"], before.copy()
    flipped[..., 0] = 23 - flipped[..., 0]
    np.testing.assert_allclose(found[~mirrored], before[~mirrored], atol=1e-4)
    np.testing.assert_allclose(found[mirrored], flipped[mirrored][:, :, list(FLIP)], atol=1e-4)
    top_left, top_right = found[:, 0, 0], found[:, 0, 1]
    assert (top_left[:, 0] < top_right[:, 0]).all(), "left stays left in every picture"
    hidden = images.targets.arrays["keypoints"][:, 0, 0, 2] == 1
    np.testing.assert_array_equal(np.where(mirrored, top_right[:, 2], top_left[:, 2]) == 1, hidden)


def test_a_permutation_that_is_no_swap_is_read_as_new_from_old() -> None:
    keypoints = np.array([[[[0, 0, 1], [1, 1, 2], [2, 2, 0]]]], np.float32)
    targets = Targets({"keypoints": keypoints}, keypoint_flip=(2, 0, 1))
    view = View(np.array([[[-1.0, 0, 8], [0, 1, 0]]]), None, np.array([True]), (9, 9))
    np.testing.assert_allclose(view.targets(targets).arrays["keypoints"][0, 0], [[6, 2, 0], [8, 0, 1], [7, 1, 2]])


def test_beyond_the_border_masks_are_ignored_and_depth_unknown() -> None:
    images = Shapes(8).load((24, 24))
    small = only(log_scale=-0.7).labelled(images.images(range(8)), images.targets, 0)[1].arrays
    outside = small["mask"][:, [0, -1]]
    assert (outside == IGNORE).all() and not small["depth"][:, [0, -1]].any()
    assert set(np.unique(small["depth"])) <= {0.0, 0.5, 1.0}, "nearest neighbour, values as they were"


@pytest.mark.parametrize("log_scale", [-0.5, 0.25])
def test_canonical_depth_shrinks_as_the_picture_is_magnified(log_scale: float) -> None:
    pixels, plain = blobs(np.array([[30.0, 20.0], [40.0, 30.0]]))
    zoom = only(log_scale=log_scale, rotate_degrees=20.0, shear_degrees=5.0)
    metres = zoom.labelled(pixels, plain, 0)[1].arrays["depth"]
    canonical = zoom.labelled(pixels, replace(plain, canonical_focal_px=90.0), 0)[1]
    np.testing.assert_allclose(canonical.arrays["depth"], metres * np.exp(-log_scale), rtol=1e-5)
    assert canonical.canonical_focal_px == 90 and metres.max() == 2


def test_every_labelling_of_an_image_moves() -> None:
    pixels, targets = blobs(np.array([[30.0, 20.0]]))
    keypoints = np.repeat(targets.arrays["keypoints"], 2, 1)
    keypoints[:, 1, 0] = (40, 30, 1)
    both = only(shift_share=0.1).labelled(pixels, Targets({"keypoints": keypoints}), 0)[1].arrays["keypoints"]
    np.testing.assert_allclose(both[0, :, 0], [[37.2, 25.6, 2], [47.2, 35.6, 1]], atol=1e-4)


@pytest.mark.parametrize("augment", [NoAugmentation(), WeakAugmentation(), StrongAugmentation(flip=True)])
def test_pictures_with_labels_are_those_without(augment: Augmentation) -> None:
    images = Shapes(6).load((24, 24))
    pixels, before = images.images(range(6)), images.targets.digest()
    moved, labels = augment.labelled(pixels, images.targets, 3)
    assert torch.equal(moved, augment(pixels, 3))
    assert images.targets.digest() == before, "the originals are left alone"
    assert labels.digest() == augment.labelled(pixels, images.targets, 3)[1].digest()
    labels.check(6, (24, 24))


def test_the_other_engine_says_that_it_moves_no_labels() -> None:
    images = Shapes(2).load((24, 24))
    with pytest.raises(ConfigError, match=r'engine[\s\S]*"fast"'):
        WeakAugmentation(engine="albumentations").labelled(images.images([0, 1]), images.targets, 0)


def stream(flip: bool = True) -> dict[str, Stream]:
    images = Shapes(12).load((24, 32))
    labels = images.labels
    return {"source": Stream(Domain("labeled", images, None, labels, images.targets), 5, StrongAugmentation(flip=flip))}


def test_batches_carry_every_kind_of_label() -> None:
    batch = next(iter(batches(stream(), 1, 0)))["source"]
    assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items() if key != "image"} == {
        "index": ((5,), torch.int64),
        "label": ((5,), torch.int64),
        "mask": ((5, 24, 32), torch.uint8),
        "depth": ((5, 24, 32), torch.float32),
        "keypoints": ((5, 1, 4, 3), torch.float32),
    }


def test_batches_without_augmentation_hold_the_labels_themselves_and_keypoints_as_shares() -> None:
    images = Shapes(12).load((24, 32))
    plain = Stream(Domain("labeled", images, None, images.labels, images.targets), 5)
    batch = next(iter(batches({"x": plain}, 1, 0)))["x"]
    at = batch["index"].numpy()
    np.testing.assert_array_equal(batch["mask"], images.targets.arrays["mask"][at])
    np.testing.assert_array_equal(batch["depth"], images.targets.arrays["depth"][at])
    truth = images.targets.arrays["keypoints"][at]
    np.testing.assert_allclose(batch["keypoints"][..., 0] * 32 - 0.5, truth[..., 0], atol=1e-5)
    np.testing.assert_allclose(batch["keypoints"][..., 1] * 24 - 0.5, truth[..., 1], atol=1e-5)
    np.testing.assert_array_equal(batch["keypoints"][..., 2], truth[..., 2])


def test_the_middle_of_a_picture_is_one_half() -> None:
    shares = as_shares(torch.tensor([[3.5, 2.5, 1.0], [-0.5, 5.5, 2.0]]), (6, 8))
    assert shares.tolist() == [[0.5, 0.5, 1.0], [0.0, 1.0, 2.0]]


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    return torch.equal(first, second)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_equal_labels(workers: int) -> None:
    here, there = (list(batches(stream(), 4, 7, workers=count)) for count in (0, workers))
    assert len(here) == 4 and all(equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_domain_without_targets_gives_the_bits_that_it_gave() -> None:
    images = Shapes(12).load((24, 32))
    plain = {"source": Stream(Domain("labeled", images, None, images.labels), 5, StrongAugmentation(flip=True))}
    with_labels, without = (next(iter(batches(s, 1, 3)))["source"] for s in (stream(), plain))
    assert set(with_labels) - set(without) == {"mask", "depth", "keypoints"}
    assert all(torch.equal(with_labels[key], without[key]) for key in without)


def test_a_label_that_a_set_lacks_is_not_in_the_batch() -> None:
    images = Shapes(12, kinds="mask").load((24, 24))
    some = Stream(Domain("labeled", images, None, images.labels, images.targets), 5, WeakAugmentation())
    assert set(next(iter(batches({"x": some}, 1, 0)))["x"]) == {"image", "label", "index", "mask"}


def test_pictures_that_are_read_on_demand_keep_their_labels_beside() -> None:
    images = Shapes(6).load((24, 24))

    def read(index: int) -> np.ndarray:
        return images.image(index)

    lazy = ImageSet(images.records, images.classes, images.size, read=read, targets=images.targets).take([4, 2])
    np.testing.assert_array_equal(lazy.targets.arrays["mask"], images.targets.arrays["mask"][[4, 2]])
    np.testing.assert_array_equal(lazy.images([0]), images.images([4]))
