"""Copies are found, different images are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import imagehash
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from perceptransfer.core.errors import LeakageError
from perceptransfer.data import ImageSet
from perceptransfer.data.images import resize
from perceptransfer.data.leakage import HAMMING, RMS, Prints, find_leaks, phash, refuse, thumbnail

Picture = np.ndarray


def jpeg(image: Picture, quality: int) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def grey(image: Picture) -> Picture:
    return np.array(Image.fromarray(image).convert("L").convert("RGB"))


def images_of(pictures: list[Picture]) -> ImageSet:
    return ImageSet.from_arrays(np.stack(pictures), None, ())


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    small = (load_digits().images * 255 / 16).round().astype(np.uint8)
    return images_of([resize(np.repeat(image[:, :, None], 3, 2), (32, 32)) for image in small])


def test_hashes_are_imagehashs(draw: Callable[..., Picture], digits: ImageSet) -> None:
    pictures = [draw(i, 20 + i, 50 - i) for i in range(30)] + [digits.image(i) for i in range(50)]
    grey_images = [Image.fromarray(image).convert("L") for image in pictures]
    ours = phash(grey_images)
    assert [f"{value:016x}" for value in ours.tolist()] == [str(imagehash.phash(image)) for image in grey_images]


def test_thumbnails_are_normalised_block_means() -> None:
    image = np.arange(32 * 32, dtype=np.float64).reshape(32, 32) / 4.1
    blocks = image.round().reshape(16, 2, 16, 2).mean((1, 3))
    ours = thumbnail([Image.fromarray(image.round().astype(np.uint8))])[0]
    np.testing.assert_allclose(ours, ((blocks - blocks.mean()) / blocks.std()).reshape(-1), atol=0.02)
    assert not thumbnail([Image.new("L", (32, 32), 9)]).any()


def test_the_same_file_and_the_same_pixels(draw: Callable[..., Picture]) -> None:
    test = images_of([draw(1), draw(2)])
    leaks = find_leaks(Prints(test), {"synthetic": Prints(images_of([draw(9), draw(2)]))})
    assert [(leak.kind, leak.domain, leak.train_index, leak.test_name) for leak in leaks] == [
        ("file", "synthetic", 1, "000001")
    ]


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(lambda image: jpeg(image, 90), id="jpeg 90"),
        pytest.param(lambda image: jpeg(image, 50), id="jpeg 50"),
        pytest.param(lambda image: resize(image, (48, 48)), id="smaller"),
        pytest.param(lambda image: jpeg(resize(image, (96, 96)), 70), id="larger and jpeg"),
        pytest.param(grey, id="without colour"),
        pytest.param(lambda image: (image * 0.8 + 10).astype(np.uint8), id="darker"),
    ],
)
def test_a_copy_saved_anew_is_found(copy: Callable[[Picture], Picture], draw: Callable[..., Picture]) -> None:
    originals = [draw(i, 64, 64) for i in range(20)]
    test = images_of([resize(image, (32, 32)) for image in originals])
    train = images_of([resize(copy(image), (32, 32)) for image in originals[:10]] + [draw(99, 32, 32)])
    leaks = find_leaks(Prints(test), {"unlabeled": Prints(train)})
    assert [(leak.train_index, leak.test_name) for leak in leaks] == [(i, f"{i:06d}") for i in range(10)]
    assert all(leak.kind == "near" and leak.distance <= RMS for leak in leaks)


def test_different_handwritten_digits_are_no_copies(digits: ImageSet) -> None:
    order = np.random.default_rng(0).permutation(len(digits))
    test, train = Prints(digits.take(order[:797])), Prints(digits.take(order[797:]))
    assert find_leaks(test, {"labeled": train}) == []
    # The test bites: the hash alone finds hundreds of pairs, and the thumbnails alone would need no much larger limit.
    near = np.bitwise_count(test.hashes[:, None] ^ train.hashes[None]) <= HAMMING
    assert near.sum() > 100
    assert find_leaks(test, {"labeled": train}, rms=2 * RMS)


def test_the_most_alike_digits_differ_in_their_hashes(digits: ImageSet) -> None:
    prints = Prints(digits)
    distance = 2 - 2 * prints.thumbnails @ prints.thumbnails.T / prints.thumbnails.shape[1]
    np.fill_diagonal(distance, 9)
    i, j = divmod(int(distance.argmin()), len(digits))
    assert np.sqrt(distance[i, j]) < RMS
    assert find_leaks(Prints(digits.take([i])), {"labeled": Prints(digits.take([j]))}) == []


def test_saved_again_digits_are_found_among_all_others(digits: ImageSet) -> None:
    copied = images_of([jpeg(digits.image(i), 60) for i in range(100)])
    leaks = find_leaks(Prints(digits), {"synthetic": Prints(copied)})
    assert [(leak.train_index, leak.test_name) for leak in leaks] == [(i, f"{i:06d}") for i in range(100)]


def test_photos_of_different_sessions_are_no_copies(shared_data: object) -> None:
    from perceptransfer.data import Folder

    photos = Folder(f"{shared_data}/hands_real_count/images").load((64, 64))
    test = [i for i, record in enumerate(photos.records) if record.split == "test"]
    rest = [i for i, record in enumerate(photos.records) if record.split != "test"]
    assert find_leaks(Prints(photos.take(test)), {"labeled": Prints(photos.take(rest))}) == []


def test_an_empty_set_has_no_leaks(draw: Callable[..., Picture]) -> None:
    empty = ImageSet([], (), (24, 24), pixels=np.zeros((0, 24, 24, 3), np.uint8))
    assert find_leaks(Prints(images_of([draw(1)])), {"labeled": Prints(empty)}) == []


def test_the_error_names_both_files(draw: Callable[..., Picture]) -> None:
    leaks = find_leaks(Prints(images_of([draw(1)])), {"labeled": Prints(images_of([draw(1)] * 7))})
    with pytest.raises(LeakageError, match=r"7 training images.*labeled 000000 = test 000000.*and 2 more[\s\S]*remove"):
        refuse(leaks)
    refuse([])
