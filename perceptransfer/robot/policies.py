"""What is evaluated in closed loop: a function of a batch of observations, with or without a network in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perceptransfer.core.errors import BundleError
from perceptransfer.policy import (
    FrozenEncoder,
    PolicyDescription,
    PolicyHead,
    RecedingHorizon,
    TemporalEnsemble,
    load_encoder,
    load_policy,
)
from perceptransfer.robot.arrays import Floats

Observations = Mapping[str, NDArray[Any]]


class Policy(Protocol):
    """Anything that acts on batches.

    ``keys`` names what it sees: ``image``, ``proprio``, or ``state`` (the simulator's truth, for ceilings only);
    nothing else is handed to it, and without ``image`` nothing is rendered.
    """

    keys: tuple[str, ...]

    def reset(self, count: int) -> None:
        """Forget everything: ``count`` episodes begin."""

    def act(self, observations: Observations) -> Floats:
        """Joint speeds ``[B, 2]`` in rad/s."""

    def estimate(self) -> Floats | None:
        """Where it took the target to be on the last call, ``[B, 2]`` in m, or None if it has no such opinion."""


def open_policy(
    folder: str | Path, bundle: str | Path | None
) -> tuple[PolicyHead, PolicyDescription, FrozenEncoder | None]:
    """A saved head, its description, and the encoder that it was trained on (None: it sees no pictures).

    Raises:
        BundleError: either is missing, altered or of another version, or the bundle is not the head's.
    """
    head, about = load_policy(folder)
    if (bundle is None) != (about.bundle is None):
        raise BundleError(
            "the policy " + ("needs its bundle" if bundle is None else "sees no pictures"),
            where=folder, key="bundle", remedy="give the bundle it was trained on, and only that",
        )  # fmt: skip
    return head, about, None if bundle is None else load_encoder(bundle, sha256=about.bundle)


def frozen_features(encoder: FrozenEncoder, part: slice | None = None) -> Callable[[Tensor], Tensor]:
    """``pooled`` of a bundle's encoder for pictures ``float [B, 3, H, W]`` in 0..1, as `HeadPolicy` hands them on.

    With ``part`` only those columns. Of a `KeypointEncoder` the pose alone: places in the image move with the camera,
    which demonstrations from one camera never show a head, and through them it fails in another room.
    """

    def encode(images: Tensor) -> Tensor:
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        pooled = torch.as_tensor(encoder(pixels if encoder.backend == "torch" else pixels.numpy()).pooled)
        return pooled if part is None else pooled[:, part]

    return encode


class HeadPolicy:
    """A policy head on encoded pictures and other observations.

    ``keys`` are joined in order into the head's input; ``image`` passes through ``encode`` (``float [B, 3, H, W]`` in
    0..1 to ``[B, E]``). ``target`` says which columns of the encoder's output are the target's place, if any are.
    A `ChunkHead` acts through ``chunks`` (by default the temporal ensemble).
    """

    def __init__(
        self,
        head: PolicyHead,
        keys: Sequence[str] = ("state",),
        encode: Callable[[Tensor], Tensor] | None = None,
        target: slice | None = None,
        chunks: RecedingHorizon | TemporalEnsemble | None = None,
    ) -> None:
        self.head, self.keys, self.encode, self.target = head.eval(), tuple(keys), encode, target
        self.chunks = chunks if chunks is not None else TemporalEnsemble() if head.horizon > 1 else None
        self._estimate: Floats | None = None

    def reset(self, count: int) -> None:
        self._estimate = None
        if self.chunks is not None:
            self.chunks.reset()

    def act(self, observations: Observations) -> Floats:
        with torch.inference_mode():
            found = self.head(torch.cat([self._column(key, observations[key]) for key in self.keys], 1))
            action = found if self.chunks is None else self.chunks.act(found)
        return np.asarray(action.numpy(), dtype=np.float64)

    def estimate(self) -> Floats | None:
        return self._estimate

    def _column(self, key: str, values: NDArray[Any]) -> Tensor:
        if key != "image":
            return torch.from_numpy(values).float()
        assert self.encode is not None
        encoded = self.encode(torch.from_numpy(values).permute(0, 3, 1, 2).float() / 255)
        if self.target is not None:
            self._estimate = np.asarray(encoded[:, self.target].numpy(), dtype=np.float64)
        return encoded
