"""An encoder whose features are places: keypoints found in the image, and a pose computed from them alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features
from perceptransfer.models.encoder import Encoder


class KeypointEncoder(Encoder):
    """A backbone followed by a spatial bottleneck: ``pooled`` is ``keypoints`` image coordinates and a ``pose``.

    Maps of all levels from ``stride`` on are summed from coarse to fine (feature pyramid), one score map a keypoint is
    read off, and its softmax's mean place (spatial soft-argmax) is the keypoint: x to the right and y down, -1 to 1
    from border to border. The pose, ``pose`` numbers in the units of the labels it is trained on, is a small network
    of these coordinates. Colour, texture and light have no way past the bottleneck, and a camera that moved can be
    told from keypoints of the robot itself.

    ``pooled`` is ``[B, 2 keypoints + pose]``: x and y of each keypoint in turn, then the pose. The last map of the
    pyramid holds the keypoints' probabilities ``[B, keypoints, h, w]``.

    Papers: Finn et al., Deep Spatial Autoencoders, ICRA 2016 (soft-argmax as a controller's features); Lin et al.,
    Feature Pyramid Networks, CVPR 2017.

    Raises:
        ConfigError: no map of that stride, or counts that are not positive.
    """

    def __init__(
        self,
        name: str = "small_cnn",
        pretrained: bool = False,
        options: dict[str, Any] | None = None,
        keypoints: int = 4,
        pose: int = 2,
        stride: int = 4,
        width: int = 64,
        hidden: int = 128,
    ) -> None:
        super().__init__(name, pretrained, options)
        if min(keypoints, width, hidden) < 1 or pose < 0:
            raise ConfigError("keypoints, width and hidden must be positive, pose at least 0", key="encoder")
        if stride not in self.strides:
            raise ConfigError(
                f"the backbone has no map of stride {stride}", key="encoder.stride", remedy=f"choose of {self.strides}"
            )
        self.keypoints, self.pose = keypoints, pose
        self._first = self.strides.index(stride)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.channels[self._first :])
        self.score = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, keypoints, 1),
        )
        self.regress: nn.Module | None = _perceptron(2 * keypoints, hidden, pose) if pose else None
        self.dim = 2 * keypoints + pose
        self.channels, self.strides = [*self.channels, keypoints], [*self.strides, stride]

    def forward(self, images: Tensor) -> Features:
        """Features; see the class. Raises as `Encoder`."""
        maps = self.maps(images)
        levels = maps[self._first :]
        merged = self.lateral[-1](levels[-1])
        for conv, level in zip(reversed(self.lateral[:-1]), reversed(levels[:-1]), strict=True):
            merged = conv(level) + interpolate(merged, size=level.shape[-2:], mode="nearest")
        scores = self.score(merged)
        shares = scores.flatten(2).float().softmax(2).view(scores.shape)
        places = soft_argmax(shares).flatten(1)
        parts = [places] if self.regress is None else [places, self.regress(places.to(scores.dtype)).float()]
        return Features(torch.cat(parts, 1), (*maps, shares))


def soft_argmax(shares: Tensor) -> Tensor:
    """Mean place ``[B, K, 2]`` (x, y) of maps ``[B, K, h, w]`` that sum to one; borders are at -1 and 1."""
    height, width = shares.shape[-2:]
    columns = _centres(width, shares)
    rows = _centres(height, shares)
    return torch.stack([(shares.sum(2) * columns).sum(2), (shares.sum(3) * rows).sum(2)], 2)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def _centres(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) * 2 + 1) / count - 1
