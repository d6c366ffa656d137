"""Domains hold the labels that their role may see and no others; the test domain hands out nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from perceptransfer.core.errors import DataError, TestDomainError
from perceptransfer.core.phase import phase
from perceptransfer.data import Domain, ImageSet, Stream, TestDomain, eval_batches


def labels_within(value: object, seen: set[int] | None = None) -> bool:
    """Whether any record with a label can be reached from an object through its attributes and containers."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(getattr(value, "label", None), int):
        return True
    inner = list(vars(value).values()) if hasattr(value, "__dict__") else []
    inner += list(value) if isinstance(value, list | tuple) else []
    return any(labels_within(item, seen) for item in inner)


def test_positions_count_within_the_domain(image_set: ImageSet) -> None:
    domain = Domain("labeled", image_set, [5, 1, 7], [2, 1, 1])
    assert len(domain) == 3
    assert domain.labels.tolist() == [2, 1, 1]
    assert domain.groups == ("g0", "g0", "g1")
    np.testing.assert_array_equal(domain.images([2, 0]), image_set.images([7, 5]))
    part = domain.subset([2])
    assert (part.labels.tolist(), part.groups) == ([1], ("g1",))
    np.testing.assert_array_equal(part.images([0]), image_set.images([7]))


def test_unlabeled_images_store_no_labels(image_set: ImageSet) -> None:
    assert labels_within(image_set)
    domain = Domain("unlabeled", image_set)
    assert not labels_within(domain)
    assert not domain.has_labels
    with pytest.raises(DataError, match="unlabeled: this domain has no labels"):
        _ = domain.labels


def test_labels_not_bought_are_out_of_reach(image_set: ImageSet) -> None:
    assert not labels_within(Domain("labeled", image_set, [0, 1], [0, 1]))
    assert not labels_within(TestDomain(image_set))


def test_the_fingerprint_covers_images_and_visible_labels(image_set: ImageSet) -> None:
    domain = Domain("labeled", image_set, [0, 1], [0, 1])
    assert domain.fingerprint == Domain("labeled", image_set, [0, 1], [0, 1]).fingerprint
    others = [
        Domain("labeled", image_set, [0, 1], [0, 2]),
        Domain("labeled", image_set, [0, 2], [0, 1]),
        Domain("labeled", image_set, [1, 0], [1, 0]),
        Domain("unlabeled", image_set, [0, 1]),
    ]
    assert len({domain.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_pseudo_labels_make_a_new_domain(image_set: ImageSet) -> None:
    domain = Domain("unlabeled", image_set, [3, 4, 5])
    guessed = domain.with_labels([1, 0], [0, 2])
    assert (guessed.role, guessed.labels.tolist()) == ("pseudo", [1, 0])
    np.testing.assert_array_equal(guessed.images([0, 1]), image_set.images([3, 5]))
    assert guessed.fingerprint != domain.fingerprint
    assert not domain.has_labels


def test_labels_that_do_not_fit_are_refused(image_set: ImageSet) -> None:
    with pytest.raises(DataError, match="2 images but labels of shape"):
        Domain("labeled", image_set, [0, 1], [0])
    with pytest.raises(DataError, match=r"labels must be 0\.\.2"):
        Domain("labeled", image_set, [0, 1], [0, 3])


TOUCHES: dict[str, Callable[[TestDomain], object]] = {
    "labels": lambda test: test.labels,
    "images": lambda test: test.images([0]),
    "index": lambda test: test[0],
    "iteration": lambda test: list(test),
    "next": lambda test: next(iter(test)),
    "stream": lambda test: Stream(test, 4),
    "evaluation batches": lambda test: next(eval_batches(test)),
    "pseudo-labels": lambda test: test.with_labels([0] * len(test)),
    "subset": lambda test: test.subset([0]),
}


@pytest.mark.parametrize("name", ["idle", "training", "selection", "evaluation"])
@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_nothing_comes_out_of_the_test_domain(
    touch: Callable[[TestDomain], object], name: str, image_set: ImageSet
) -> None:
    test = TestDomain(image_set)
    with phase(name), pytest.raises(TestDomainError, match="remedy"):
        touch(test)
    assert test.reads == 0


@pytest.mark.parametrize("name", ["idle", "training", "selection"])
def test_judging_is_refused_outside_evaluation(name: str, image_set: ImageSet) -> None:
    test = TestDomain(image_set)
    with phase(name), pytest.raises(TestDomainError, match=f"in phase '{name}'"):
        test.evaluate(lambda images: {"class": np.zeros((len(images), 3))})
    assert test.reads == 0


def test_every_judgement_is_counted(image_set: ImageSet) -> None:
    test, asked = TestDomain(image_set, [3, 4, 5, 9]), []

    def brightness(images: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(len(images))
        return {"class": images.mean((1, 2))}

    with phase("evaluation"):
        outcome = test.evaluate(brightness, batch_size=3)
        test.evaluate(brightness)
    assert test.reads == 2
    assert asked == [3, 1, 4]
    assert outcome.truth["label"].tolist() == [0, 1, 2, 0]
    assert outcome.groups == ("g0", "g0", "g0", "g1")
    np.testing.assert_allclose(outcome.outputs["class"], image_set.images([3, 4, 5, 9]).mean((1, 2)))


def test_a_pickled_test_domain_still_refuses(image_set: ImageSet) -> None:
    test = pickle.loads(pickle.dumps(TestDomain(image_set)))
    assert len(test) == 12
    with pytest.raises(TestDomainError):
        _ = test.labels
    with phase("evaluation"):
        outcome = test.evaluate(lambda images: {"class": np.zeros((len(images), 3))})
    assert outcome.truth["label"].tolist() == image_set.labels.tolist()


def test_predictions_for_another_number_of_images_are_refused(image_set: ImageSet) -> None:
    with phase("evaluation"), pytest.raises(DataError, match="11 predictions for 12 images"):
        TestDomain(image_set).evaluate(lambda images: {"class": np.zeros((len(images) - 1, 3))})
