"""The four things that VC-1's loader returns: model, dimension, transform, metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from perceptransfer.policy.adapters.floats import to_bytes
from perceptransfer.policy.bundle import Backend, load_encoder
from perceptransfer.policy.image_spec import ImageSpec


class Pooled(nn.Module):
    """``uint8 [B, H, W, 3]`` to ``[B, D]``."""

    def __init__(self, bundle: str | Path, backend: Backend = "torch") -> None:
        super().__init__()
        self.encoder = load_encoder(bundle, backend)

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features."""
        pooled: Tensor = self.encoder(images).pooled
        return pooled


class Transform(Protocol):
    """Images as a user has them to images as the model takes them."""

    def __call__(self, images: Tensor) -> Tensor:
        """Convert and check."""


def load_model(bundle: str | Path, backend: Backend = "torch") -> tuple[nn.Module, int, Transform, dict[str, Any]]:
    """Model, dimension, transform and metadata: ``model(transform(images))`` is ``[B, dim]``.

    The transform takes the camera's ``uint8 [H, W, 3]``, with or without a batch axis, and VC-1's float
    ``[B, 3, H, W]`` in 0..1. It does not resize: that is in the bundle.

    Raises:
        BundleError: as in `load_encoder`.
    """
    model = Pooled(bundle, backend)
    spec: ImageSpec = model.encoder.transform

    def transform(images: Tensor) -> Tensor:
        checked: Tensor = spec(to_bytes(images) if images.is_floating_point() else images)
        return checked

    return model, model.encoder.dim, transform, model.encoder.metadata
