"""Labels of every kind that a model would give to unlabeled images, where it is sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import KEYPOINTS, LABEL, MASK
from perceptransfer.data import Domain, Targets, small_views
from perceptransfer.data.targets import IGNORE
from perceptransfer.learning.predict import predict, predict_images
from perceptransfer.learning.self_training import bar, choose_pseudo_labels
from perceptransfer.models import PerceptionModel, enlarge
from perceptransfer.tasks import Task, classifier

CHUNK = 512
VIEWS = 3
PSEUDO_KINDS = (LABEL, MASK, KEYPOINTS)  # a regressed depth says nothing of its confidence


@dataclass(frozen=True)
class Bars:
    """From where on a prediction is believed.

    ``keep`` and ``threshold`` as in `choose_pseudo_labels`, per class of image, class of pixel, or keypoint.
    A keypoint must besides be found within ``agreement`` (share of the image's longer side) of one place in several
    slightly moved views.
    """

    keep: float
    threshold: float
    agreement: float = 0.05


def pseudo_labelled(
    model: PerceptionModel, tasks: Sequence[Task], unlabeled: Domain, like: Targets, bars: Bars, seed: int
) -> tuple[Domain, dict[str, Any]]:
    """The unlabeled images with the model's own surest predictions as labels, and a report.

    With a classification task these are the images whose class is kept, otherwise all. Of masks and keypoints the sure
    parts are kept: other pixels are 255, other keypoints have v = 0. ``like`` gives the names and the mirror
    permutation. Depth is left out.

    Raises:
        ConfigError: no task gives a confidence.
    """
    if not any(task.label_key in PSEUDO_KINDS for task in tasks):
        raise ConfigError(
            "no task says how sure it is of a prediction, so there are no pseudo-labels",
            key="tasks",
            remedy="use align for depth, or add a task with classes, masks or keypoints",
        )
    labels, indices, report = None, np.arange(len(unlabeled)), dict[str, Any]()
    judge = classifier(tasks)
    if judge is not None:
        outputs = torch.from_numpy(predict(model, unlabeled, only=[judge.name]).outputs[judge.name])
        said, confidence = (tensor.numpy() for tensor in judge.pseudo_label(outputs))
        chosen = choose_pseudo_labels(said, confidence, unlabeled.classes, keep=bars.keep, threshold=bars.threshold)
        labels, indices, report = chosen.labels, chosen.indices, chosen.report
    arrays: dict[str, NDArray[Any]] = {}
    for task in tasks:
        if task.label_key == MASK:
            arrays[MASK], report[task.name] = pseudo_masks(*_segmented(model, task, unlabeled, indices), bars)
        elif task.label_key == KEYPOINTS:
            rng = np.random.default_rng(seed)
            found = _located(model, task, unlabeled, indices, rng)
            arrays[KEYPOINTS], report[task.name] = pseudo_keypoints(*found, bars, max(unlabeled.size))
    return unlabeled.with_labels(labels, indices, targets=like.replace(arrays)), report


def pseudo_masks(
    labels: NDArray[np.uint8], confidence: NDArray[np.floating], bars: Bars
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Masks ``[n, H, W]`` in which the pixels below the bar of their predicted class are 255, and what was kept.

    The bar of a class is set over all its pixels of all images (Zou et al., ECCV 2018).
    """
    masks, kept = labels.copy(), {}
    for index in np.unique(labels):
        mine = labels == index
        sure = confidence[mine]
        low = sure < bar(sure[:: max(1, len(sure) // 1_000_000)], bars.keep, bars.threshold)
        masks[mine] = np.where(low, np.uint8(IGNORE), index)
        kept[str(index)] = float(1 - low.mean())
    return masks, {"kept_per_class": kept, "mean_confidence": float(confidence.mean(dtype=np.float64))}


def pseudo_keypoints(
    places: NDArray[np.floating], confidence: NDArray[np.floating], bars: Bars, side: int
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Keypoints ``[n, 1, K, 3]`` in pixels from the places ``[V, n, K, 2]`` found in V views of each image.

    The place is the views' mean. v is 2 where all views agree with the first within ``agreement * side`` pixels and the
    ``confidence`` ``[n, K]`` reaches the keypoint's bar over all images that agree, and 0 elsewhere.
    """
    apart = np.linalg.norm(places - places[:1], axis=-1).max(0)
    agree = apart <= bars.agreement * side
    kept = np.zeros(agree.shape, dtype=bool)
    for k in range(agree.shape[1]):
        if agree[:, k].any():
            sure = confidence[agree[:, k], k]
            kept[:, k] = agree[:, k] & (confidence[:, k] >= bar(sure, bars.keep, bars.threshold))
    answers = np.concatenate([places.mean(0), 2.0 * kept[..., None]], -1)[:, None]
    report = {
        "agreeing": float(agree.mean()),
        "kept_per_keypoint": [float(share) for share in kept.mean(0)],
        "mean_confidence": float(confidence.mean()),
    }
    return answers.astype(np.float32), report


def _segmented(
    model: PerceptionModel, task: Task, unlabeled: Domain, indices: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    labels = np.empty((len(indices), *unlabeled.size), np.uint8)
    confidence = np.empty(labels.shape, np.float16)
    for start in range(0, len(indices), CHUNK):
        part = slice(start, start + CHUNK)
        output = _outputs(model, task, unlabeled.images(indices[part]))
        said, sure = task.pseudo_label(enlarge(output, unlabeled.size))
        labels[part], confidence[part] = said.numpy(), sure.numpy()
    return labels, confidence


def _located(
    model: PerceptionModel, task: Task, unlabeled: Domain, indices: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Places ``[1 + VIEWS, n, K, 2]`` in pixels, in the images as they are and moved back from moved ones."""
    places, confidence = [], []
    for start in range(0, len(indices), CHUNK):
        images = unlabeled.images(indices[start : start + CHUNK])
        first = task.decode(_outputs(model, task, images), unlabeled.size).numpy()
        found = [first[..., :2].astype(np.float64)]
        for _ in range(VIEWS):
            view = small_views(len(images), unlabeled.size, rng)
            moved = task.decode(_outputs(model, task, view.pixels(images)), unlabeled.size).numpy()
            found.append(view.origins(moved[..., :2].astype(np.float64)))
        places.append(np.stack(found))
        confidence.append(first[..., 2])
    return np.concatenate(places, 1), np.concatenate(confidence)


def _outputs(model: PerceptionModel, task: Task, images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(predict_images(model, images, only=[task.name]).outputs[task.name])
