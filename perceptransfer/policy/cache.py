"""Features on disk, so that a head trains on a frozen encoder that runs once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from perceptransfer.core.errors import BundleError
from perceptransfer.core.files import write_atomic
from perceptransfer.policy.arrays import Array, dtype_of, join, kind_of, raw
from perceptransfer.policy.frozen import Encoded, FrozenEncoder
from perceptransfer.policy.tensor_file import pack, unpack

_HASH = 32  # bytes of a SHA-256


class FeatureCache:
    """Folder of features, found by what they were made from: bundle, format and pixels.

    Images are looked up in chunks of ``chunk``, so that images appended to a set cost only their own encoding. An entry
    starts with the hash of its content; a damaged one is noticed, counted in ``damaged`` and made again. ``encoded``
    counts the images that the encoder had to see.
    """

    def __init__(self, root: str | Path, encoder: FrozenEncoder, chunk: int = 64) -> None:
        self.root, self.encoder, self.chunk = Path(root), encoder, chunk
        self.encoded = self.damaged = 0

    def path(self, images: Array) -> Path:
        """Where the features of a chunk lie, whether they are there or not."""
        contract = self.encoder.contract
        key = hashlib.sha256(f"{self.encoder.file}|{dtype_of(images)}|{tuple(images.shape)}|".encode())
        key.update(raw(images))
        return self.root / contract.sha256 / f"{key.hexdigest()}.features"

    def __call__(self, images: Array) -> Encoded:
        """Features of ``uint8 [B, H, W, 3]``, equal to those that the encoder gives chunk by chunk.

        Raises:
            ObservationError: images that the encoder refuses.
            OutputError: the folder cannot be written or the disk is full.
        """
        self.encoder.transform.check(images)
        kind = kind_of(images)
        assert kind is not None  # checked in the line above
        found = [self._chunk(images[i : i + self.chunk]) for i in range(0, len(images), self.chunk)]
        return Encoded(*(join(list(parts), kind) for parts in zip(*found, strict=True)))

    def _chunk(self, images: Array) -> Encoded:
        path = self.path(images)
        stored = self._read(path, images)
        if stored is not None:
            return stored
        features = self.encoder(images)
        content = pack(features._asdict())
        write_atomic(path, hashlib.sha256(content).digest() + content)
        self.encoded += len(images)
        return features

    def _read(self, path: Path, images: Array) -> Encoded | None:
        """Stored features, ``None`` if there are none or they are damaged."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        kind = kind_of(images) or "numpy"
        if hashlib.sha256(content[_HASH:]).digest() == content[:_HASH]:
            try:
                arrays = unpack(content[_HASH:], kind, path)
                return Encoded(arrays["pooled"], arrays["spatial"])
            except (BundleError, KeyError):
                pass  # written by another version
        self.damaged += 1
        return None
