"""Policy heads: features in, actions out, with the normalisation of both inside; torch only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perceptransfer.core.config import Configurable


class Normalizer(nn.Module):
    """Shift and scale per component, ``(x − mean) / std``, kept in buffers so that they travel with the weights.

    Components that hardly vary (standard deviation below ``floor`` of the largest) are divided by that floor: else
    noise that training never showed would be blown up.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, values: Tensor) -> None:
        """Take mean and standard deviation from ``[..., dim]``."""
        flat = values.reshape(-1, values.shape[-1]).float()
        std = flat.std(0, correction=0)
        self.mean.copy_(flat.mean(0))
        self.std.copy_(std.clamp_min(max(1e-6, self.floor * float(std.max()))))

    def forward(self, values: Tensor) -> Tensor:
        """Normalised ``[..., dim]``."""
        return (values - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """What ``forward`` would map to ``values``."""
        return values * self.std + self.mean


class PolicyHead(nn.Module, Configurable):
    """Base of heads: ``[B, D]`` to ``[B, A]``, or to ``[B, k, A]`` with a ``horizon`` k above 1.

    ``inputs`` normalises features, ``actions`` the actions; `predict` gives normalised actions, for the loss.
    """

    def __init__(self, dim: int, action_dim: int, horizon: int = 1) -> None:
        super().__init__()
        self.dim, self.action_dim, self.horizon = dim, action_dim, horizon
        self.inputs, self.actions = Normalizer(dim), Normalizer(action_dim)

    def fit_normalizers(self, features: Tensor, actions: Tensor) -> None:
        """Take both normalisations from training data ``[n, D]`` and ``[n, A]`` or ``[n, k, A]``."""
        self.inputs.fit(features)
        self.actions.fit(actions)

    def predict(self, features: Tensor) -> Tensor:
        """Normalised actions of the same shape as ``forward``'s."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Actions in their own units."""
        return self.actions.inverse(self.predict(features))


class MLPHead(PolicyHead):
    """Fully connected layers with ReLU and layer norm before the output; one action a call."""

    def __init__(self, dim: int, action_dim: int, hidden: Sequence[int] = (256, 256), dropout: float = 0.0) -> None:
        super().__init__(dim, action_dim)
        self.layers = fully_connected(dim, hidden, action_dim, dropout)

    def predict(self, features: Tensor) -> Tensor:
        predicted: Tensor = self.layers(self.inputs(features))
        return predicted


class ChunkHead(PolicyHead):
    """The next ``horizon`` actions at once, ``[B, k, A]`` (action chunking, Zhao et al. 2023).

    How a chunk is carried out is the business of `policy.chunks`.
    """

    def __init__(
        self, dim: int, action_dim: int, horizon: int = 8, hidden: Sequence[int] = (256, 256), dropout: float = 0.0
    ) -> None:
        super().__init__(dim, action_dim, horizon)
        self.layers = fully_connected(dim, hidden, horizon * action_dim, dropout)

    def predict(self, features: Tensor) -> Tensor:
        flat: Tensor = self.layers(self.inputs(features))
        return flat.reshape(*flat.shape[:-1], self.horizon, self.action_dim)


def fully_connected(dim: int, hidden: Sequence[int], out: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers, each hidden one followed by layer norm, ReLU and dropout."""
    parts: list[nn.Module] = []
    for width in hidden:
        parts += [nn.Linear(dim, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout)]
        dim = width
    return nn.Sequential(*parts, nn.Linear(dim, out))
