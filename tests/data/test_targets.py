"""Masks, depth and keypoints of a set of images: what is refused, what identifies them, who may see them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from perceptransfer.core.config import digest
from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain, ImageSet, TestDomain
from perceptransfer.data.targets import IGNORE, Targets, joined
from tests.shapes import CLASSES, FLIP, Shapes, shapes_data

SIZE = (6, 8)


def arrays(n: int = 3) -> dict[str, Any]:
    keypoints = np.zeros((n, 2, 4, 3), np.float32)
    keypoints[:, 0, :, 2] = 2
    return {"mask": np.ones((n, *SIZE), np.uint8), "depth": np.ones((n, *SIZE), np.float32), "keypoints": keypoints}


@pytest.fixture
def shapes() -> ImageSet:
    return Shapes(12, split=True).load((24, 24))


def changed(key: str, value: float, at: tuple[int, ...]) -> dict[str, Any]:
    values = arrays()
    values[key][at] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"normals": np.zeros((3, *SIZE), np.float32)}, r"unknown kind of label 'normals'[\s\S]*known are"),
        ({"mask": np.zeros((3, 6, 7), np.uint8)}, r"mask is uint8 \(3, 6, 7\), expected uint8 \(3, 6, 8\)"),
        ({"mask": np.zeros((2, *SIZE), np.uint8)}, r"\(2, 6, 8\), expected"),
        ({"mask": np.zeros((3, *SIZE), np.int64)}, r"mask is int64"),
        ({"depth": np.zeros((3, *SIZE))}, r"depth is float64"),
        ({"keypoints": np.zeros((3, 4, 3), np.float32)}, r"keypoints is float32 \(3, 4, 3\)"),
        ({"keypoints": np.zeros((3, 1, 4, 2), np.float32)}, r"expected float32 \(3, 1, 4, 3\)"),
        (changed("depth", np.nan, (1, 2, 3)), r"depth of image 1 holds NaN or infinity \(key: depth\)[\s\S]*write 0"),
        (changed("depth", np.inf, (2, 0, 0)), r"depth of image 2"),
        (changed("keypoints", np.nan, (1, 0, 0, 0)), r"keypoints of image 1"),
        (changed("depth", -0.1, (0, 0, 0)), r"depth of image 0 is negative[\s\S]*metres"),
        (changed("mask", 3, (0, 0, 0)), r"mask of image 0 holds class 3, there are 3[\s\S]*name all"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Targets(values, ("background", "a", "b")).check(3, SIZE, "some/file")
    assert str(caught.value).startswith("some/file: ")


@pytest.mark.parametrize("flip", [(0, 1, 2), (0, 1, 2, 2), (1, 2, 3, 4)])
def test_a_mirror_list_is_a_permutation(flip: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="no permutation of 4 keypoints"):
        Targets(arrays(), keypoint_flip=flip).check(3, SIZE)


def test_ignored_pixels_unknown_depth_and_places_out_of_the_picture_are_allowed() -> None:
    values = arrays()
    values["mask"][0, 0, 0], values["depth"][:] = IGNORE, 0
    values["keypoints"][0, 0, 0] = (-50, 1e4, 1)
    targets = Targets(values, ("background", "a"))
    targets.check(3, SIZE)
    assert targets and not Targets()


def test_an_image_set_refuses_labels_of_other_images() -> None:
    with pytest.raises(DataError, match="expected uint8"):
        ImageSet.from_arrays(np.zeros((2, *SIZE, 3), np.uint8), None, (), targets=Targets(arrays()))


def test_taking_copies_and_keeps_names(shapes: ImageSet) -> None:
    some = shapes.take([4, 1])
    for key, values in shapes.targets.arrays.items():
        np.testing.assert_array_equal(some.targets.arrays[key], values[[4, 1]])
    assert (some.targets.mask_classes, some.targets.keypoint_flip) == (("background", *CLASSES), FLIP)
    some.targets.arrays["mask"][:] = 9
    assert shapes.targets.arrays["mask"].max() != 9


def test_the_digest_covers_every_value_and_name(shapes: ImageSet) -> None:
    whole = shapes.targets
    digests = {whole.digest(), Targets(whole.arrays).digest()}
    for key, values in whole.arrays.items():
        other = {**whole.arrays, key: values + 1}
        digests |= {whole.replace(other).digest(), whole.replace({key: values}).digest()}
    assert len(digests) == 8
    assert whole.take(range(12)).digest() == whole.digest()


def test_joining_pads_labellings_and_keeps_what_all_have() -> None:
    first, second = arrays(), arrays(2)
    second["keypoints"] = second["keypoints"][:, :1]
    del second["depth"]
    both = joined([Targets(first, keypoint_flip=FLIP), Targets(second, keypoint_flip=FLIP)], "x")
    assert set(both.arrays) == {"mask", "keypoints"} and both.keypoint_flip == FLIP
    assert both.arrays["mask"].shape == (5, *SIZE)
    assert both.arrays["keypoints"].shape == (5, 2, 4, 3)
    assert not both.arrays["keypoints"][3:, 1].any(), "an added labelling is not labelled anywhere"
    np.testing.assert_array_equal(both.arrays["keypoints"][3:, 0], second["keypoints"][:, 0])
    both.check(5, SIZE)
    assert not joined([Targets(first), Targets()], "x")
    with pytest.raises(DataError, match="different meaning"):
        joined([Targets(first, keypoint_flip=FLIP), Targets(second)], "x")


def domain(images: ImageSet, role: str = "labeled", **changes: Any) -> Domain:
    labels = None if role == "unlabeled" else images.labels
    return Domain(role, images, None, labels, **{"targets": images.targets, **changes})


def arrays_within(value: object, shape: tuple[int, ...], seen: set[int] | None = None) -> bool:
    """Whether an array that holds ``shape`` can be reached through attributes and containers."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.shape[1:] == shape
    inner = list(vars(value).values()) if hasattr(value, "__dict__") else []
    inner += list(value.values()) if isinstance(value, dict) else []
    inner += list(value) if isinstance(value, list | tuple) else []
    return any(arrays_within(item, shape, seen) for item in inner)


@pytest.mark.parametrize("shape", [(24, 24), (1, 4, 3)], ids=["mask, depth", "keypoints"])
def test_roles_without_labels_store_no_targets(shapes: ImageSet, shape: tuple[int, ...]) -> None:
    assert arrays_within(shapes, shape) and arrays_within(domain(shapes), shape)
    for made in (Domain("unlabeled", shapes), Domain("labeled", shapes, [0, 1], [0, 1])):
        assert not made.targets and not arrays_within(made, shape)
        assert not pickle.loads(pickle.dumps(made)).subset([1, 0]).targets
        with pytest.raises(DataError, match=r"no labels of the kind 'mask', only \['label'\][\s\S]*leave out the task"):
            made.target("mask")


def test_prepared_domains_see_the_labels_of_their_role_only() -> None:
    domains = shapes_data().prepare(0, 0.5)
    kinds = {"mask", "depth", "keypoints"}
    for role in ("synthetic", "synthetic_val", "labeled"):
        assert set(domains[role].targets.arrays) == kinds
        assert all(len(domains[role].target(key)) == len(domains[role]) for key in ("label", *kinds))
    for role in ("unlabeled", "device"):
        assert not domains[role].targets and not arrays_within(domains[role], (24, 24))
    assert len(domains["labeled"]) < len(domains["unlabeled"])


def test_bought_targets_are_those_of_the_images(shapes: ImageSet) -> None:
    real = Shapes(45, 1, 0.7, True).load((24, 24))
    of = {record.sha256: i for i, record in enumerate(real.records)}
    for fraction in (0.2, 1.0):
        labeled = shapes_data().prepare(3, fraction)["labeled"]
        places = [of[sha] for sha in labeled.hashes]
        for key in ("mask", "depth", "keypoints"):
            np.testing.assert_array_equal(labeled.target(key), real.targets.arrays[key][places])


def test_shuffling_permutes_all_labels_of_an_image_alike() -> None:
    honest, shuffled = (shapes_data(shuffle_labels=s).prepare(0, 1.0)["labeled"] for s in (False, True))
    assert honest.hashes == shuffled.hashes
    rows = {tuple(mask.ravel()): i for i, mask in enumerate(honest.target("mask"))}
    source = [rows[tuple(mask.ravel())] for mask in shuffled.target("mask")]
    assert sorted(source) == list(range(len(honest))) != source
    for key in ("label", "depth", "keypoints"):
        np.testing.assert_array_equal(shuffled.target(key), honest.target(key)[source])


@pytest.mark.parametrize("copied", [False, True])
def test_the_test_domain_hands_out_no_target_but_to_a_judgement(shapes: ImageSet, copied: bool) -> None:
    test = TestDomain(shapes, [1, 5])
    test = pickle.loads(pickle.dumps(test)) if copied else test
    for name in ("idle", "training", "selection", "evaluation"):
        for touch in (lambda: test.targets, lambda: test.target("mask"), lambda: test.target("label")):
            with phase(name), pytest.raises(TestDomainError):  # type: ignore[arg-type]
                touch()
    assert test.reads == 0
    with phase("evaluation"):
        outcome = test.evaluate(lambda images: {"x": np.zeros(len(images))})
    np.testing.assert_array_equal(outcome.of("keypoints"), shapes.targets.arrays["keypoints"][[1, 5]])
    with pytest.raises(DataError, match=r"no labels of the kind 'normals'[\s\S]*leave out"):
        outcome.of("normals")
    outcome.of("mask")[:] = 7
    with phase("evaluation"):
        again = test.evaluate(lambda images: {"x": np.zeros(len(images))})
    assert again.of("mask").max() != 7, "a judgement gets a copy"


def test_targets_handed_out_by_kind_are_copies(shapes: ImageSet) -> None:
    made = domain(shapes)
    made.target("depth")[:] = 0
    assert made.target("depth").any()


def test_fingerprints_move_with_dense_labels_and_with_nothing_else(shapes: ImageSet) -> None:
    plain = Domain("labeled", shapes, None, shapes.labels)
    bare = ImageSet.from_arrays(
        shapes.images(range(12)), shapes.labels, CLASSES, groups=[str(record.group) for record in shapes.records]
    )
    assert plain.fingerprint == Domain("labeled", bare, None, bare.labels).fingerprint, "labels not seen do not count"
    named = [CLASSES[i] for i in shapes.labels]
    assert plain.fingerprint == digest([list(CLASSES), bare.stripped().digest(range(12)), named])
    moved = shapes.targets.replace({**shapes.targets.arrays, "depth": shapes.targets.arrays["depth"] * 2})
    found = {plain.fingerprint, domain(shapes).fingerprint, domain(shapes, targets=moved).fingerprint}
    assert len(found) == 3
    assert domain(shapes).fingerprint == domain(Shapes(12, split=True).load((24, 24))).fingerprint
    unlabeled = [Domain("unlabeled", images).fingerprint for images in (shapes, bare)]
    assert unlabeled[0] == unlabeled[1]


def test_fingerprints_of_images_with_classes_alone_are_those_of_earlier_versions() -> None:
    pixels = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    images = ImageSet.from_arrays(pixels, [0, 1], ("a", "b"))
    # Written down with the version before dense labels: stored results of that version stay valid.
    assert Domain("labeled", images, None, [0, 1]).fingerprint.startswith("287199c77e737866")
    assert Domain("unlabeled", images).fingerprint.startswith("24f29dd788197090")


def test_pseudo_labels_may_bring_targets(shapes: ImageSet) -> None:
    pseudo = Domain("unlabeled", shapes).with_labels([0, 1], [2, 3], targets=shapes.targets.take([2, 3]))
    assert len(pseudo.target("mask")) == 2
    with pytest.raises(DataError, match="pseudo: mask is"):
        Domain("unlabeled", shapes).with_labels([0, 1], [2, 3], targets=shapes.targets)


def test_no_mirror_image_is_another_meaning_than_none_needed() -> None:
    values = arrays()
    plain, none = Targets(values), Targets(values, keypoint_flip=None)
    none.check(3, SIZE)
    assert none.take([0]).keypoint_flip is None and plain.digest() != none.digest()
    assert joined([plain, none], "x").keypoint_flip is None and joined([plain, plain], "x").keypoint_flip == ()
    with pytest.raises(DataError, match="different meaning"):
        joined([Targets(values, keypoint_flip=FLIP), none], "x")


def test_canonical_depth_is_another_meaning_than_metres() -> None:
    values = arrays()
    plain, canonical = Targets(values), Targets(values, canonical_focal_px=90.0)
    assert plain.digest() != canonical.digest()
    assert joined([canonical, canonical], "x").canonical_focal_px == canonical.replace({}).canonical_focal_px == 90
    with pytest.raises(DataError, match="different meaning"):
        joined([plain, canonical], "x")
