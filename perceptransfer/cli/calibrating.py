"""The command that fits a scene's sensor to photos."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from perceptransfer.cli.rendering import change
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import write_atomic
from perceptransfer.data import to_tensor
from perceptransfer.data.sensor_augment import strong_ranges
from perceptransfer.data.unlabeled import FEWEST, read_unlabeled
from perceptransfer.deploy.encoder import build_encoder, read_checkpoint
from perceptransfer.render.calibration.fit import Describe, Pixels, Rows
from perceptransfer.render.calibration.fit import calibrate as fit_ranges
from perceptransfer.render.calibration.light import Light, draw_light, light_of_set
from perceptransfer.render.calibration.report import numbers, write_report
from perceptransfer.render.calibration.write import with_sensor
from perceptransfer.render.optics import SensorRanges
from perceptransfer.render.spec import read_scene, read_sensor

ON_TOP = "sensor: {}\n"
DIRECTIONS = 16


def calibrate(
    scene: str,
    real: str,
    output: str,
    synthetic: str | None = None,
    budget: int = 400,
    seed: int = 0,
    count: int = 192,
    photos: int = 400,
    focus: float = 1.0,
    encoder: str | None = None,
    engine: str = "raycast",
    options: dict[str, Any] | None = None,
    set: list[str] | None = None,
) -> int:
    """Fit the sensor ranges of a scene file to unlabelled photos; what does not help on held-out photos is not kept.

    Writes the scene file with the fitted ranges, and beside it a report (.json, .md, .png).

    Args:
        scene: Scene file; with --synthetic a file that holds nothing but "sensor:" will do.
        real: Folder of photos; of an annotated set only the train split is read, and no label.
        output: Scene file to be written.
        synthetic: Rendered set to develop again instead of rendering; if its sensor was not perfect, the ranges are
            what comes on top of it, and the file written holds a sensor alone, for training on that set.
        budget: Candidates tried.
        seed: Seed of the search.
        count: Renders used, one half for the search and one for the judgement.
        photos: Photos used at most, halved likewise, by groups where the set names them.
        focus: Side of the middle part of the pictures that is compared, as a share: where pictures are cut around an
            object, less than 1 keeps a background that is unlike from being mended by the sensor.
        encoder: A run's checkpoint.safetensors, whose pooled features are compared beside the image statistics.
        engine: Renderer, as for `perceptransfer render`.
        options: Arguments of the renderer.
        set: Changes to the scene file, as for `perceptransfer render`.
    """
    if budget < 1 or count < 2 * FEWEST or photos < 2 * FEWEST:
        raise ConfigError(
            "too few to search and to judge", key="count", remedy=f"give --count and --photos of {2 * FEWEST} or more"
        )
    if not 0 < focus <= 1:
        raise ConfigError(f"is {focus:g}", key="focus", remedy="give a share above 0 and up to 1")
    began, path, folder = time.monotonic(), Path(output), Path(real)
    light, start, text, note = _light(
        Path(scene), synthetic, count, seed, engine, options, dict(map(change, set or []))
    )
    halves = read_unlabeled(folder, (light.shape[1], light.shape[2]), photos, seed)
    middle, fit, judge = _middle(light, focus), _middle(halves.fit, focus), _middle(halves.judge, focus)
    extra = None if encoder is None else _pooled(Path(encoder), fit)
    found = fit_ranges(middle, fit, judge, start, budget=budget, seed=seed, extra=extra)
    kept, name = found.judged.better, "/".join(folder.resolve().parts[-2:])
    about = {
        "scene": Path(scene).name,
        "photos": name,
        "synthetic": None if synthetic is None else Path(synthetic).name,
        "photos_left_out": halves.left_out,
        "size": list(light.shape[1:3]),
        "focus": focus,
        "encoder": None if encoder is None else Path(encoder).name,
        "seed": seed,
        "note": note,
        "strong_augmentation": strong_ranges(found.ranges, light.shape[2]),
    }
    data = numbers(found, start, about)
    comment = f"fitted by `perceptransfer render calibrate` to {name}, see {path.stem}.md"
    write_atomic(path, with_sensor(text, found.ranges, comment) if kept else text)
    _, page, _ = write_report(path.with_suffix(""), found, data)
    print(page.read_text(), end="")
    print(f"{'fitted' if kept else 'unchanged'}: {path}, report: {page}, {time.monotonic() - began:.0f} s")
    return 0


def _pooled(checkpoint: Path, photos: Pixels) -> Describe:
    """An encoder's pooled features along the photos' main directions; all of them would drown the statistics."""
    encoder = build_encoder(read_checkpoint(checkpoint))

    def pooled(images: Pixels) -> Rows:
        with torch.inference_mode():
            parts = [encoder(to_tensor(images[i : i + 64])).pooled for i in range(0, len(images), 64)]
        return torch.cat(parts).double().numpy()

    rows = pooled(photos)
    middle = rows.mean(0)
    axes = np.linalg.svd(rows - middle, full_matrices=False)[2][:DIRECTIONS]
    return lambda images: np.asarray((pooled(images) - middle) @ axes.T)


Kind = TypeVar("Kind", np.float32, np.uint8)


def _middle(images: NDArray[Kind], share: float) -> NDArray[Kind]:
    """The middle of pictures ``[n, H, W, 3]``, at least 16 pixels a side where they have them."""
    height, width = (min(side, max(16, round(side * share))) for side in images.shape[1:3])
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def _light(
    scene: Path,
    synthetic: str | None,
    count: int,
    seed: int,
    engine: str,
    options: dict[str, Any] | None,
    changes: dict[str, Any],
) -> tuple[Light, SensorRanges, str, str]:
    """Light, the ranges to start from, the text to put the new ones into, and what there is to say."""
    start = read_sensor(scene, changes)
    text = scene.read_text(encoding="utf-8")
    if synthetic is None:
        return draw_light(read_scene(scene, changes), count, seed, engine, options), start, text, ""
    light, perfect = light_of_set(Path(synthetic), count, seed)
    if perfect:
        return light, start, text, ""
    note = "The renders already hold a sensor's effects, the ranges are what comes on top: use them in training."
    return light, SensorRanges(), ON_TOP, note
