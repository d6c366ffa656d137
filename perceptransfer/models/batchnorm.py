"""Adaptive batch normalisation: a domain's own statistics in place of the training domain's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from perceptransfer.core.errors import ConfigError, DivergedError


@dataclass(frozen=True)
class BatchNormReport:
    """What an adaptation did.

    ``layers`` is the number of layers re-estimated, 0 for a model without batch normalisation, which is then left as
    it is and whose data is not read. ``shift`` is the mean over channels of ``|new mean - old mean| / old std``.
    """

    layers: int
    batches: int
    images: int
    shift: float


def batchnorm_layers(model: nn.Module) -> list[_BatchNorm]:
    """Layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def adapt_batchnorm(model: nn.Module, batches: Iterable[Tensor], alpha: float = 1.0) -> BatchNormReport:
    """Re-estimate all running statistics on images ``[B, 3, H, W]`` and blend: ``(1 - alpha) old + alpha new``.

    The new statistics are the plain average over the batches of each batch's mean and unbiased variance, so batches
    should be of one size. Weights, modes and momenta come back as they were; on an error the statistics do too.

    Paper: Li et al., Revisiting Batch Normalization For Practical Domain Adaptation, 2016 (AdaBN).

    Raises:
        ConfigError: no batch, a batch of one image, or alpha outside 0..1.
        DivergedError: statistics that are not finite.
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"the blend of statistics must lie in 0..1, got {alpha}", key="alpha")
    layers = batchnorm_layers(model)
    if not layers:
        return BatchNormReport(0, 0, 0, 0.0)
    old = _statistics(layers)
    try:
        counts = _estimate(model, layers, batches)
        new = _statistics(layers)
        if not all(bool(torch.isfinite(tensor).all()) for tensors in new for tensor in tensors[:2]):
            raise DivergedError("batch-norm statistics are not finite", remedy="look for NaN in images or weights")
    except BaseException:
        _restore(layers, old)
        raise
    for layer, before, after in zip(layers, old, new, strict=True):
        _write(layer, (torch.lerp(before[0], after[0], alpha), torch.lerp(before[1], after[1], alpha), after[2]))
    shifts = [((b[0] - a[0]).abs() / (a[1] + layer.eps).sqrt()) for layer, a, b in zip(layers, old, new, strict=True)]
    return BatchNormReport(len(layers), len(counts), sum(counts), float(torch.cat(shifts).mean()))


@contextlib.contextmanager
def adapted_batchnorm(model: nn.Module, batches: Iterable[Tensor], alpha: float = 1.0) -> Iterator[BatchNormReport]:
    """`adapt_batchnorm` for the duration of a ``with`` block; the old statistics come back bit by bit."""
    layers = batchnorm_layers(model)
    old = _statistics(layers)
    try:
        yield adapt_batchnorm(model, batches, alpha)
    finally:
        _restore(layers, old)


@contextlib.contextmanager
def untracked_batchnorm(model: nn.Module) -> Iterator[None]:
    """Forward passes inside a ``with`` block leave the running statistics alone, also in training mode."""
    layers = [layer for layer in batchnorm_layers(model) if layer.track_running_stats]
    try:
        for layer in layers:
            # In evaluation mode the switch is not read; there the running statistics are used and not written.
            layer.track_running_stats = False
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


_Statistics = tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def _estimate(model: nn.Module, layers: list[_BatchNorm], batches: Iterable[Tensor]) -> list[int]:
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    counts: list[int] = []
    device = next(layers[0].buffers()).device
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # torch's cumulative average
            layer.training = True
        for images in batches:
            if len(images) < 2:
                raise ConfigError(
                    "a batch of one image has no statistics", key="batch_size", remedy="drop the last incomplete batch"
                )
            model(images.to(device))
            counts.append(len(images))
        if not counts:
            raise ConfigError("no images to estimate batch-norm statistics from", key="batch_size")
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
    return counts


def _statistics(layers: list[_BatchNorm]) -> list[_Statistics]:
    return [
        (layer.running_mean.clone(), layer.running_var.clone(), layer.num_batches_tracked.clone())
        for layer in layers
        if layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None
    ]


def _restore(layers: list[_BatchNorm], statistics: list[_Statistics]) -> None:
    for layer, values in zip(layers, statistics, strict=True):
        _write(layer, values)


def _write(layer: _BatchNorm, values: _Statistics) -> None:
    for buffer, value in zip((layer.running_mean, layer.running_var, layer.num_batches_tracked), values, strict=True):
        if buffer is not None:
            buffer.copy_(value)
