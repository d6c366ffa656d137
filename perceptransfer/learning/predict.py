"""Run a model over a domain without training it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perceptransfer.data import Domain
from perceptransfer.models import PerceptionModel

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Predictions:
    """Outputs per task ``[n, ...]`` and pooled features ``[n, D]``, in the domain's order."""

    outputs: dict[str, NDArray[np.float32]]
    features: NDArray[np.float32]


def predict_images(model: PerceptionModel, images: Images, batch_size: int = 256) -> Predictions:
    """Predict ``uint8 [n, H, W, 3]`` in evaluation mode; the model's mode is restored."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    pooled, outputs = [], []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            chunk = torch.from_numpy(images[start : start + batch_size]).to(device)
            features = model(chunk.permute(0, 3, 1, 2).float() / 255.0)
            pooled.append(features.pooled.float().cpu().numpy())
            outputs.append({name: output.float().cpu().numpy() for name, output in features.outputs.items()})
    model.train(training)
    names = outputs[0] if outputs else {}
    return Predictions(
        outputs={name: np.concatenate([part[name] for part in outputs]) for name in names},
        features=np.concatenate(pooled) if pooled else np.zeros((0, 0), np.float32),
    )


def predict(model: PerceptionModel, domain: Domain, batch_size: int = 256) -> Predictions:
    """Predict a whole training-side domain, read in chunks."""
    parts = [
        predict_images(model, domain.images(np.arange(start, min(start + 4096, len(domain)))), batch_size)
        for start in range(0, len(domain), 4096)
    ]
    return Predictions(
        outputs={name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs},
        features=np.concatenate([part.features for part in parts]),
    )


def predictor(model: PerceptionModel, task: str) -> Callable[[Images], NDArray[np.float32]]:
    """Function from images to one task's outputs, as `TestDomain.evaluate` wants it."""
    return lambda images: predict_images(model, images).outputs[task]
