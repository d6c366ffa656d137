"""Back from what policy libraries hand to an encoder to what a camera gave them."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptransfer.core.errors import ObservationError
from perceptransfer.policy.image_spec import CHANNELS


def to_bytes(images: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """``uint8 [B, H, W, 3]`` from float ``[B, 3, H, W]`` in ``low..high``.

    Policy libraries turn bytes into floats with channels first before the policy sees them; the way back is exact, and
    the encoder's own normalisation then happens once.

    Raises:
        ObservationError: another type or layout, NaN, or values outside the range, as after a normalisation.
    """
    if images.ndim != 4 or images.shape[1] != CHANNELS or not images.is_floating_point():
        raise ObservationError(
            f"images must be float [B, {CHANNELS}, H, W] in {low:g}..{high:g}, got {images.dtype} {list(images.shape)}",
            remedy="put channels first, and several time steps into the batch axis",
        )
    slack = (high - low) / 1000  # of interpolation and of half precision
    smallest, largest = float(images.min()), float(images.max())
    if not (smallest >= low - slack and largest <= high + slack):  # NaN is in no range
        raise ObservationError(
            f"image values go from {smallest:.3g} to {largest:.3g}, expected {low:g}..{high:g}",
            remedy="switch the library's image normalisation off (the encoder has its own), or name its range",
        )
    bytes_ = ((images - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
    return bytes_.permute(0, 2, 3, 1)
