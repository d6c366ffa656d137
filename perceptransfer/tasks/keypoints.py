"""Named points in the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import KEYPOINTS
from perceptransfer.metrics import Tally, correct_keypoints, keypoint_distances
from perceptransfer.models import DenseHead
from perceptransfer.tasks.base import Task

FURTHER = (0.05, 0.1, 0.2)


class Keypoints(Task):
    """``num_keypoints`` places an image, each by a heatmap.

    The head gives one logit map a keypoint, whose softmax over all places is the belief about where it is. The loss is
    the cross-entropy with a Gaussian of ``sigma`` (share of the image's longer side) about the label, mean over the
    labelled keypoints in the picture; of several equivalent labellings of an image the one with the smallest loss
    counts. A place is read as the mean of the belief within ``window`` cells of its highest cell, which resolves
    fractions of a cell; its confidence is the belief within the window.

    The score is PCK: the share of labelled keypoints, hidden ones included, within ``threshold`` times the image's
    longer side (``reference: image``) or times the longer side of the box of the labelled keypoints (``box``).

    Papers: heatmaps after Tompson et al., NeurIPS 2014; reading by expectation after Sun et al., Integral Human Pose
    Regression, ECCV 2018.

    Raises:
        ConfigError: a count, threshold, sigma or window that is not positive, or an unknown reference.
    """

    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    VERSION: ClassVar[int] = 2
    label_key: ClassVar[str] = KEYPOINTS

    def __init__(
        self,
        num_keypoints: int,
        threshold: float = 0.1,
        reference: Literal["image", "box"] = "image",
        sigma: float = 0.025,
        window: int = 2,
        width: int = 64,
        name: str = "keypoints",
    ) -> None:
        for key, value in {"num_keypoints": num_keypoints, "threshold": threshold, "sigma": sigma}.items():
            if not value > 0:
                raise ConfigError(f"{value} is not above zero", key=key, remedy="give a positive number")
        if window < 0 or reference not in ("image", "box"):
            raise ConfigError(f"window {window}, reference {reference!r}", key="reference", remedy="image or box")
        self.num_keypoints, self.num_outputs = num_keypoints, num_keypoints
        self.threshold, self.reference, self.metric = threshold, reference, f"pck@{threshold:g}"
        self.sigma, self.window, self.width, self.name = sigma, window, width, name

    def make_head(self, dim: int, channels: Sequence[int]) -> nn.Module:
        return DenseHead(dim, channels, self.num_keypoints, self.width)

    def loss(self, output: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """Scalar; ``label`` ``[B, A, K, 3]`` holds x and y as shares of width and height, as batches do.

        ``weight`` ``[B, K]`` scales each keypoint's share, ``[B]`` each image's.
        """
        cells = output.shape[-2:]
        belief = F.log_softmax(output.float().flatten(2), dim=2)
        seen = (label[..., 2] > 0) & ((label[..., :2] >= 0) & (label[..., :2] < 1)).all(-1)
        each = -(self._gaussians(label, cells) * belief[:, None]).sum(-1) * seen
        if weight is not None and weight.ndim == 2:
            each, weight = each * weight[:, None], None
        count = seen.sum(2)
        by_labelling = torch.where(count > 0, each.sum(2) / count.clamp_min(1), torch.inf)
        best = by_labelling.min(dim=1).values
        known = torch.isfinite(best)
        share = known.float() * (1.0 if weight is None else weight)
        return (torch.where(known, best, torch.zeros_like(best)) * share).sum() / known.sum().clamp_min(1)

    def pseudo_label(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Places as a batch's labels, all visible, and the confidence of each ``[B, K]``."""
        places, confidence = self._read(output)
        visible = torch.full_like(places[..., :1], 2.0)
        return torch.cat([places, visible], -1)[:, None], confidence

    def decode(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """``[B, K, 3]``: x, y in pixels, and confidence."""
        places, confidence = self._read(output)
        scale = places.new_tensor([size[1], size[0]])
        return torch.cat([places * scale - 0.5, confidence[..., None]], -1)

    def tally(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Tally:
        distances = keypoint_distances(decoded, truth)
        return correct_keypoints(distances, self._extent(truth, size), self.threshold)

    def details(self, decoded: NDArray[Any], truth: NDArray[Any], size: tuple[int, int]) -> Mapping[str, float | None]:
        distances, extent = keypoint_distances(decoded, truth), self._extent(truth, size)
        pck = {f"pck@{at:g}": correct_keypoints(distances, extent, at).per_class()[0] for at in FURTHER}
        known = distances[np.isfinite(distances)]
        mean, median = (float(np.mean(known)), float(np.median(known))) if len(known) else (None, None)
        return {**pck, "mean_error_px": mean, "median_error_px": median}

    def _extent(self, truth: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
        if self.reference == "image":
            return np.full(len(truth), float(max(size)))
        known = truth[:, 0, :, 2] > 0
        high = np.where(known[..., None], truth[:, 0, :, :2], -np.inf).max(1)
        low = np.where(known[..., None], truth[:, 0, :, :2], np.inf).min(1)
        return np.asarray(np.where(known.any(1), (high - low).max(-1), 0.0), dtype=np.float64)

    def _gaussians(self, label: Tensor, cells: Sequence[int]) -> Tensor:
        """Target beliefs ``[B, A, K, h·w]`` that sum to one."""
        deviation = self.sigma * max(cells)
        axes = []
        for axis, count in ((1, cells[0]), (0, cells[1])):
            centre = label[..., axis, None] * count - 0.5
            offset = torch.arange(count, device=label.device) - centre
            axes.append((-0.5 * (offset / deviation).square()).softmax(-1))
        return (axes[0][..., :, None] * axes[1][..., None, :]).flatten(-2)

    def _read(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Places ``[B, K, 2]`` as shares of width and height, and confidence ``[B, K]``."""
        height, width = output.shape[-2:]
        belief = output.float().flatten(2).softmax(-1)
        top = belief.argmax(-1)
        rows, columns = (torch.arange(count, device=output.device) for count in (height, width))
        near = ((rows - top[..., None] // width).abs() <= self.window)[..., :, None] & (
            (columns - top[..., None] % width).abs() <= self.window
        )[..., None, :]
        local = belief.view(*belief.shape[:2], height, width) * near
        mass = local.sum((-2, -1))
        y = (local.sum(-1) * (rows + 0.5)).sum(-1) / (mass * height)
        x = (local.sum(-2) * (columns + 0.5)).sum(-1) / (mass * width)
        return torch.stack([x, y], -1), mass
