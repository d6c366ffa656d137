"""An observation encoder in the manner of diffusion_policy: a dictionary of observations to one vector.

In a Hydra configuration::

    obs_encoder:
      _target_: perceptransfer.policy.adapters.diffusion_policy.BundleObsEncoder
      bundle: encoder/
      shape_meta: ${shape_meta}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from perceptransfer.core.errors import ConfigError, ObservationError
from perceptransfer.policy.adapters.floats import to_bytes
from perceptransfer.policy.bundle import Backend, load_encoder


class BundleObsEncoder(nn.Module):
    """Pooled features of every camera, in the order of their names, then every low-dimensional observation.

    ``shape_meta`` is the task's: under ``obs``, each name has a ``shape`` and, for cameras, ``type: rgb``. Its image
    normaliser maps 0..1 to -1..1, so that is the range expected (``low``, ``high``).

    Raises:
        ConfigError: no observation, or a camera whose images are not the bundle's.
        BundleError: as in `load_encoder`.
    """

    def __init__(
        self,
        bundle: str | Path,
        shape_meta: Mapping[str, Any],
        low: float = -1.0,
        high: float = 1.0,
        backend: Backend = "torch",
    ) -> None:
        super().__init__()
        self.encoder, self.low, self.high = load_encoder(bundle, backend), low, high
        spec = self.encoder.transform
        observed = shape_meta["obs"]
        self.cameras = sorted(name for name, entry in observed.items() if entry.get("type") == "rgb")
        self.numbers = sorted(set(observed) - set(self.cameras))
        self.shapes = {name: tuple(observed[name]["shape"]) for name in observed}
        for name in self.cameras:
            if self.shapes[name] != (3, spec.height, spec.width):
                raise ConfigError(
                    f"camera {name} gives {list(self.shapes[name])}, the bundle takes [3, {spec.height}, {spec.width}]",
                    key=f"shape_meta.obs.{name}",
                    remedy="export with camera=(height, width) of these images",
                )
        if not observed:
            raise ConfigError("no observation", key="shape_meta.obs", remedy="name at least one")

    def forward(self, obs_dict: Mapping[str, Tensor]) -> Tensor:
        """``[B, D]`` from images ``[B, 3, H, W]`` and vectors ``[B, ...]``.

        Raises:
            ObservationError: an observation is missing, or its images are refused.
        """
        missing = sorted(set(self.shapes) - set(obs_dict))
        if missing:
            raise ObservationError(f"observations are missing: {', '.join(missing)}", remedy="give all of shape_meta")
        parts = [self.encoder(to_bytes(obs_dict[name], self.low, self.high)).pooled for name in self.cameras]
        return torch.cat([*parts, *(obs_dict[name].flatten(1) for name in self.numbers)], dim=-1)

    def output_shape(self) -> tuple[int]:
        """Length of the vector, as diffusion_policy asks for it."""
        numbers = sum(int(torch.tensor(self.shapes[name]).prod()) for name in self.numbers)
        return (self.encoder.dim * len(self.cameras) + numbers,)
