"""Do all formats compute the same?"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from perceptransfer.core.errors import ParityError
from perceptransfer.deploy.graph import Deployed
from perceptransfer.policy.arrays import relative_error
from perceptransfer.policy.frozen import FrozenEncoder

LIMIT = 1e-5


@torch.no_grad()
def features(graph: Deployed, images: Tensor, batch: int = 32) -> tuple[Tensor, Tensor]:
    """Pooled and spatial features of any number of images."""
    found = [graph(chunk) for chunk in torch.split(images, batch)]
    return torch.cat([pooled for pooled, _ in found]), torch.cat([spatial for _, spatial in found])


def check_parity(
    encoder: FrozenEncoder, graph: Deployed, probes: Mapping[str, Tensor], where: Path
) -> dict[str, float]:
    """Relative error (see `relative_error`) of one format against the model, for each set of probe images.

    The images go through whole and one by one, so that a batch size frozen into a format is seen. Where the network
    itself is worse conditioned than the limit, so that two exact formats may differ by more, the limit is twice the
    model's own rounding error: its distance from the same model in float64.

    Raises:
        ParityError: more than 1e-5 and more than that, or values that are not finite.
    """
    errors = {}
    for name, images in probes.items():
        expected = features(graph, images)
        found = [encoder(images), *(encoder(image[None]) for image in images)]
        pooled, spatial = (torch.cat(parts) for parts in zip(*found, strict=True))
        errors[name] = max(
            relative_error(part, torch.cat([wanted, wanted]))
            for part, wanted in zip((pooled, spatial), expected, strict=True)
        )
        # NaN is above every limit; the second costs a float64 pass, which few need.
        if not errors[name] <= LIMIT and not errors[name] <= 2 * rounding_error(graph, images):
            raise ParityError(
                f"features on {name} images differ from the model's by {errors[name]:.2g}, more than {LIMIT:.0e}",
                where=where,
                key=encoder.file,
                remedy="nothing was written; check that the weights are finite, or choose another backbone",
            )
    return errors


@torch.no_grad()
def rounding_error(graph: Deployed, images: Tensor) -> float:
    """Relative error of the model in float32 against itself in float64."""
    exact = features(copy.deepcopy(graph).double(), images)
    return max(
        relative_error(part.double(), wanted) for part, wanted in zip(features(graph, images), exact, strict=True)
    )
