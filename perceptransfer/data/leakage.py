"""Is a real test image also in a training set: as the same file, the same pixels, or a copy saved anew?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from PIL import Image

from perceptransfer.core.errors import LeakageError
from perceptransfer.data.image_set import ImageSet

Kind = Literal["file", "pixels", "near"]
# A pair is a copy when at most HAMMING of the 64 hash bits differ (cheap, but one in 200 pairs of different digits
# passes) and the RMS difference of the thumbnails is at most RMS. Measured over 9 million pairs of different real
# images within HAMMING, least RMS: load_digits 0.132, MNIST 0.120, hand photos 0.205 and 0.274. Copies, at most: photos
# saved as JPEG 50 0.071 and 4 bits; at 3/4 of the size and JPEG 70 0.114 (99 %: 0.083 and 0.114) and 4 bits; in grey
# 0.043; 28-pixel digits as JPEG 50 0.074 and 8 bits. Not found: photos cropped by 4 %, digits saved at half their size.
HAMMING, RMS = 10, 0.11
THUMBNAIL = (16, 16)
ROWS = 256  # test images compared at once, which bounds the memory


@dataclass(frozen=True)
class Leak:
    """A training image that is a copy of a test image; ``distance`` is the RMS, 0 for equal files or pixels."""

    kind: Kind
    domain: str
    train_name: str
    train_index: int
    test_name: str
    distance: float

    def __str__(self) -> str:
        what = {"file": "same file", "pixels": "same pixels", "near": f"near-duplicate, RMS {self.distance:.3f}"}
        return f"{self.domain} {self.train_name} = test {self.test_name} ({what[self.kind]})"


class Prints:
    """What identifies the images of a set: file hashes, pixel hashes, perceptual hashes and thumbnails."""

    def __init__(self, images: ImageSet) -> None:
        self.names = [record.name for record in images.records]
        self.files = [record.sha256 for record in images.records]
        self.pixels: list[str] = []
        hashes, thumbnails = [np.zeros(0, np.uint64)], [np.zeros((0, THUMBNAIL[0] * THUMBNAIL[1]), np.float32)]
        for start in range(0, len(images), 512):
            part = images.images(range(start, min(start + 512, len(images))))
            self.pixels += [hashlib.sha256(image.tobytes()).hexdigest() for image in part]
            grey = [Image.fromarray(image).convert("L") for image in part]
            hashes.append(phash(grey))
            thumbnails.append(thumbnail(grey))
        self.hashes, self.thumbnails = np.concatenate(hashes), np.concatenate(thumbnails)


def phash(images: Sequence[Image.Image]) -> NDArray[np.uint64]:
    """Perceptual hashes of grey images, 64 bits each, first bit highest; equal to `imagehash.phash`.

    32×32, discrete cosine transform, the 8×8 lowest frequencies against their median
    (https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html). On whole batches it takes a tenth
    of the time of the library, which is the reference in the tests.
    """
    small = np.stack([np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS)) for image in images])
    low = scipy.fft.dct(scipy.fft.dct(small.astype(np.float64), axis=1), axis=2)[:, :8, :8].reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0]
    return packed


def thumbnail(images: Sequence[Image.Image]) -> NDArray[np.float32]:
    """Area-averaged thumbnails of grey images, ``[n, 256]``, each with zero mean and unit variance."""
    rows = [np.asarray(image.resize(THUMBNAIL, Image.Resampling.BOX)).reshape(-1) for image in images]
    small = np.stack(rows).astype(np.float32)
    small -= small.mean(1, keepdims=True)
    # An image of one colour has no variance; the floor of one grey level keeps rounding from being blown up.
    normalised: NDArray[np.float32] = small / np.maximum(small.std(1, keepdims=True), 1.0)
    return normalised


def find_leaks(test: Prints, training: Mapping[str, Prints], *, hamming: int = HAMMING, rms: float = RMS) -> list[Leak]:
    """Every training image, by domain, that is a copy of a test image: the same file, the same pixels, or near."""
    return [leak for domain, prints in training.items() for leak in _leaks(test, prints, domain, hamming, rms)]


def _leaks(test: Prints, train: Prints, domain: str, hamming: int, rms: float) -> list[Leak]:
    files = {sha: i for i, sha in enumerate(test.files)}
    pixels = {sha: i for i, sha in enumerate(test.pixels)}
    found: dict[int, Leak] = {}
    for j, (file, pixel) in enumerate(zip(train.files, train.pixels, strict=True)):
        exact = [(kind, i) for kind, i in (("file", files.get(file)), ("pixels", pixels.get(pixel))) if i is not None]
        if exact:
            kind, i = exact[0]
            found[j] = Leak("file" if kind == "file" else "pixels", domain, train.names[j], j, test.names[i], 0.0)
    for start in range(0, len(test.names), ROWS):
        differing = np.bitwise_count(test.hashes[start : start + ROWS, None] ^ train.hashes[None, :])
        rows, columns = np.nonzero(differing <= hamming)
        rows += start
        for piece in range(0, len(rows), 65536):
            of_test, of_train = rows[piece : piece + 65536], columns[piece : piece + 65536]
            distance = np.sqrt(np.mean((test.thumbnails[of_test] - train.thumbnails[of_train]) ** 2, axis=1))
            for k in np.flatnonzero(distance <= rms):
                j, value = int(of_train[k]), float(distance[k])
                if j not in found or value < found[j].distance:
                    found[j] = Leak("near", domain, train.names[j], j, test.names[int(of_test[k])], value)
    return [found[j] for j in sorted(found)]


def refuse(leaks: list[Leak]) -> None:
    """Stop if there is a leak.

    Raises:
        LeakageError: names the first pairs.
    """
    if leaks:
        shown = "; ".join(str(leak) for leak in leaks[:5]) + (f"; and {len(leaks) - 5} more" if len(leaks) > 5 else "")
        raise LeakageError(
            f"{len(leaks)} training images are copies of real test images: {shown}",
            where=leaks[0].train_name,
            key="leakage",
            remedy='remove these training files, or set leakage to "remove" to leave them out of training',
        )
