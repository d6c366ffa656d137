"""CPU cost of a training step with each alignment loss, over a plain supervised step on the same 128 images.

``python benchmarks/throughput/steps.py`` prints medians of ratios from interleaved rounds, one thread, so that a noisy
machine slows both sides alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from perceptransfer.alignment import losses
from perceptransfer.core.features import Features
from perceptransfer.learning import build_model, initial_checkpoint
from perceptransfer.models import Encoder, PerceptionModel, take
from perceptransfer.tasks import Classification

HALF, STEPS, ROUNDS = 64, 5, 15


def stepper(loss_of: Callable[[Features], torch.Tensor], model: PerceptionModel) -> Callable[[], None]:
    """One optimiser step on a fixed batch."""
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.rand(2 * HALF, 3, 32, 32)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(images)).backward()
        optimizer.step()

    return step


def main() -> None:
    """Print one line a loss."""
    torch.set_num_threads(1)
    checkpoint = initial_checkpoint(Encoder("small_cnn"), [Classification(10)])
    labels = torch.arange(2 * HALF) % 10
    steps = {"plain": stepper(lambda f: F.cross_entropy(f.outputs["class"], labels), build_model(checkpoint, seed=0))}
    for name, kind in losses().items():
        alignment = kind()
        alignment.build(256, 10)

        def loss_of(features: Features, alignment: torch.nn.Module = alignment) -> torch.Tensor:
            source, target = take(features, slice(0, HALF)), take(features, slice(HALF, None))
            return F.cross_entropy(source.outputs["class"], labels[:HALF]) + alignment(source, target, progress=0.5)

        steps[name] = stepper(loss_of, build_model(checkpoint, seed=0))
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.process_time()
            for _ in range(STEPS):
                step()
            spent[name].append(time.process_time() - started)
    print(f"plain step: {1000 * statistics.median(spent['plain']) / STEPS:.1f} ms of CPU")
    for name in list(steps)[1:]:
        ratios = [mine / plain for mine, plain in zip(spent[name], spent["plain"], strict=True)]
        print(f"{name:<24} {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
