"""A robomimic backbone: ``register()``, then ``backbone_class: "BundleConv"`` in its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from perceptransfer.core.errors import ConfigError, MissingExtraError
from perceptransfer.policy.adapters.floats import to_bytes
from perceptransfer.policy.bundle import Backend, load_encoder

NAME = "BundleConv"


def register() -> Any:
    """Make ``BundleConv`` known to robomimic (tried with 0.3.0) and return the class.

    ``backbone_kwargs: {bundle: DIR}`` names the bundle. The backbone gives the spatial map, so that ``pool_class``
    works as with robomimic's own; images come in float, 0..1, channels first, as its loader makes them.

    Raises:
        MissingExtraError: robomimic is not installed.
    """
    try:
        from robomimic.models import base_nets, obs_core
    except ImportError as error:
        raise MissingExtraError("robomimic cannot be imported", remedy="pip install robomimic==0.3.0") from error

    class BundleConv(base_nets.ConvBase):  # type: ignore[misc]  # robomimic has no type hints
        """Spatial features ``[B, C, h, w]`` of a bundle."""

        def __init__(self, bundle: str | Path, backend: Backend = "torch", input_channel: int = 3) -> None:
            super().__init__()
            self.encoder = load_encoder(bundle, backend)

        def output_shape(self, input_shape: Sequence[int]) -> list[int]:
            """``[C, h, w]`` for images ``[3, H, W]``."""
            spec = self.encoder.transform
            if list(input_shape) != [3, spec.height, spec.width]:
                raise ConfigError(
                    f"robomimic gives {list(input_shape)}, the bundle takes [3, {spec.height}, {spec.width}]",
                    key="observation.encoder.rgb",
                    remedy="leave out the crop randomizer, or export with camera=(height, width) after the crop",
                )
            return list(self.encoder.spatial_shape)

        def forward(self, inputs: Tensor) -> Tensor:
            spatial: Tensor = self.encoder(to_bytes(inputs)).spatial
            return spatial

    # VisualCore looks a backbone up by evaluating its name inside its own module.
    setattr(obs_core, NAME, BundleConv)
    setattr(base_nets, NAME, BundleConv)
    return BundleConv
