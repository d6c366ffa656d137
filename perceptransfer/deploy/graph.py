"""The network as it leaves the house: camera bytes in, pooled and spatial features out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from perceptransfer.models import Encoder


class Deployed(nn.Module):
    """An encoder behind its preprocessing, ``uint8 [B, H, W, 3]`` to ``pooled [B, D]`` and ``spatial [B, C, h, w]``.

    Resizing is two constant matrices, one an axis: they mean the same in every format, whereas each runtime's own
    resize operator rounds coordinates in its own way.
    """

    rows: Tensor | None
    columns: Tensor | None

    def __init__(self, encoder: Encoder, size: tuple[int, int], camera: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = encoder
        (height, width), (from_height, from_width) = size, camera
        self.register_buffer("rows", None if height == from_height else resize_matrix(from_height, height))
        self.register_buffer(
            "columns", None if width == from_width else resize_matrix(from_width, width).T.contiguous()
        )

    def prepare(self, images: Tensor) -> Tensor:
        """What the encoder is given: float ``[B, 3, h, w]`` in 0..1."""
        # Contiguous, so that the sums run in the order in which they run for anyone who feeds the encoder itself.
        x = images.permute(0, 3, 1, 2).contiguous().to(next(self.encoder.parameters()).dtype) / 255
        if self.columns is not None:
            x = x @ self.columns
        if self.rows is not None:
            x = self.rows @ x
        return x

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled and spatial features."""
        features = self.encoder(self.prepare(images))
        return features.pooled, features.pyramid[-1]


def resize_matrix(before: int, after: int) -> Tensor:
    """``[after, before]`` weights of a resampling along one axis.

    As in training: shrinking averages the pixels whose centres lie in the new pixel, growing interpolates linearly.
    These are Pillow's BOX and BILINEAR filters, in its order of operations: a centre on the border of two new pixels
    falls to the same of the two.
    """
    scale = before / after
    shrinks = scale > 1
    radius, unit = (0.5 * scale, 1 / scale) if shrinks else (1.0, 1.0)
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for i in range(after):
        centre = (i + 0.5) * scale
        first, last = max(0, math.floor(centre - radius + 0.5)), min(before, math.floor(centre + radius + 0.5))
        place = (torch.arange(first, last, dtype=torch.float64) - centre + 0.5) * unit
        matrix[i, first:last] = ((place > -0.5) & (place <= 0.5)) if shrinks else (1 - place.abs()).clamp(min=0)
    return (matrix / matrix.sum(1, keepdim=True)).float()
