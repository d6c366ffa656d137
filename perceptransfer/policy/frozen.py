"""What every backend's encoder offers."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from perceptransfer.policy.arrays import Array
from perceptransfer.policy.contract import Contract
from perceptransfer.policy.image_spec import ImageSpec


class Encoded(NamedTuple):
    """Features of a batch: ``pooled`` is ``[B, D]``, ``spatial`` ``[B, C, h, w]``, both float32.

    They are of the kind that the images were: torch tensors for a tensor, NumPy arrays for an array.
    """

    pooled: Array
    spatial: Array


class FrozenEncoder(Protocol):
    """An encoder that nothing can change: no gradient, evaluation mode, and weights that answer to a hash."""

    contract: Contract
    backend: str
    file: str

    @property
    def dim(self) -> int:
        """Length of a pooled vector."""

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a spatial map."""

    @property
    def transform(self) -> ImageSpec:
        """What images are expected; callable, checks them and adds a missing batch axis."""

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as plain data: where the encoder comes from, its licence, its measured errors."""

    def __call__(self, images: Array) -> Encoded:
        """Features of ``uint8 [B, height, width, 3]``.

        Raises:
            ObservationError: other images.
        """

    def verify(self) -> None:
        """Hash the weights again.

        Raises:
            BundleError: they are not the bundle's any more.
        """


class Described:
    """The part of a `FrozenEncoder` that only repeats its contract."""

    contract: Contract

    @property
    def dim(self) -> int:
        """Length of a pooled vector."""
        return self.contract.dim

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a spatial map."""
        return self.contract.spatial

    @property
    def transform(self) -> ImageSpec:
        """What images are expected; callable, checks them and adds a missing batch axis."""
        return self.contract.images

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as plain data: where the encoder comes from, its licence, its measured errors."""
        return self.contract.as_dict()
