"""Run a model over a domain without training it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perceptransfer.data import Domain
from perceptransfer.models import PerceptionModel
from perceptransfer.tasks import Task

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Predictions:
    """Outputs per task ``[n, ...]`` and pooled features ``[n, D]``, in the domain's order."""

    outputs: dict[str, NDArray[np.float32]]
    features: NDArray[np.float32]


def predict_images(
    model: PerceptionModel, images: Images, batch_size: int = 256, only: Sequence[str] | None = None
) -> Predictions:
    """Predict ``uint8 [n, H, W, 3]`` in evaluation mode; the model's mode is restored.

    ``only`` names the tasks whose outputs are kept (default: all); maps of many images take much memory.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    pooled, outputs = [], []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            chunk = torch.from_numpy(images[start : start + batch_size]).to(device)
            features = model(chunk.permute(0, 3, 1, 2).float() / 255.0)
            pooled.append(features.pooled.float().cpu().numpy())
            kept = features.outputs if only is None else {name: features.outputs[name] for name in only}
            outputs.append({name: output.float().cpu().numpy() for name, output in kept.items()})
    model.train(training)
    names = outputs[0] if outputs else {}
    return Predictions(
        outputs={name: np.concatenate([part[name] for part in outputs]) for name in names},
        features=np.concatenate(pooled) if pooled else np.zeros((0, 0), np.float32),
    )


def predict(
    model: PerceptionModel, domain: Domain, batch_size: int = 256, only: Sequence[str] | None = None
) -> Predictions:
    """Predict a whole training-side domain, read in chunks; ``only`` as in `predict_images`."""
    parts = [
        predict_images(model, domain.images(np.arange(start, min(start + 4096, len(domain)))), batch_size, only)
        for start in range(0, len(domain), 4096)
    ]
    return Predictions(
        outputs={name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs},
        features=np.concatenate([part.features for part in parts]),
    )


def answerer(
    model: PerceptionModel, tasks: Sequence[Task], size: tuple[int, int], batch_size: int = 256
) -> Callable[[Images], dict[str, NDArray[Any]]]:
    """Function from images of ``size`` to every task's answers, as `TestDomain.evaluate` wants it.

    Answers are decoded batch by batch: maps of logits of a whole test set would not fit in memory.
    """

    def answers(images: Images) -> dict[str, NDArray[Any]]:
        parts: dict[str, list[NDArray[Any]]] = {task.name: [] for task in tasks}
        for start in range(0, len(images), batch_size):
            outputs = predict_images(model, images[start : start + batch_size], batch_size).outputs
            for task in tasks:
                parts[task.name].append(task.decode(torch.from_numpy(outputs[task.name]), size).numpy())
        return {name: np.concatenate(found) for name, found in parts.items()}

    return answers


def answer(model: PerceptionModel, tasks: Sequence[Task], domain: Domain) -> dict[str, NDArray[Any]]:
    """Every task's answers for a whole training-side domain, read in chunks."""
    answers = answerer(model, tasks, domain.size)
    parts = [
        answers(domain.images(np.arange(start, min(start + 4096, len(domain)))))
        for start in range(0, len(domain), 4096)
    ]
    return {task.name: np.concatenate([part[task.name] for part in parts]) for task in tasks}
