"""What a set consists of, in numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.render.writer import read_pixels, rows

BINS = 16
STATES = ("not labelled", "occluded", "visible")


def of_set(folder: Path) -> dict[str, Any]:
    """Counts of labels, visible share, depth range in metres, keypoint visibility, colour histogram.

    The histogram has, for red, green and blue, the share of pixels in each of 16 equal bins.
    """
    about = json.loads((folder / "dataset.json").read_text())
    labels: Counter[str] = Counter()
    keypoints = np.zeros((len(about["keypoint_names"]), 3), dtype=np.int64)
    histogram, pixels = np.zeros((3, BINS)), np.zeros(len(about["mask_classes"]), dtype=np.int64)
    visible, depths, attempts = [], [], []
    for row in rows(folder):
        labels[row["label"]] += 1
        attempts.append(row["attempt"])
        if row.get("keypoints"):
            states = [int(point[2]) for point in row["keypoints"][0]]
            keypoints[np.arange(len(states)), states] += 1
        visible += [it["visible_fraction"] for it in row["objects"]]
        depth = np.asarray(read_pixels(folder / row["depth"]), float)
        met = depth[depth > 0] * row["depth_scale"]
        depths += [float(met.min()), float(met.max())] if len(met) else []
        image = np.asarray(read_pixels(folder / row["file"]), int)
        for channel in range(3):
            histogram[channel] += np.bincount(image[..., channel].ravel() // (256 // BINS), minlength=BINS)
        mask = np.asarray(read_pixels(folder / row["mask"]), int)
        pixels += np.bincount(mask.ravel(), minlength=len(pixels))[: len(pixels)]
    return {
        "images": sum(labels.values()),
        "labels": dict(sorted(labels.items())),
        "pixels": dict(zip(about["mask_classes"], (pixels / max(pixels.sum(), 1)).round(4).tolist(), strict=True)),
        "visible_fraction": _quartiles(visible),
        "depth_m": {"min": min(depths, default=None), "max": max(depths, default=None)},
        "keypoints": {
            name: dict(zip(STATES, counts.tolist(), strict=True))
            for name, counts in zip(about["keypoint_names"], keypoints, strict=True)
        },
        "drawn_again": sum(attempts),
        "histogram": (histogram / max(histogram[0].sum(), 1)).round(5).tolist(),
    }


def as_text(numbers: dict[str, Any]) -> str:
    """The main numbers in a few lines."""
    counts = ", ".join(f"{name} {count}" for name, count in numbers["labels"].items())
    states = np.sum([list(it.values()) for it in numbers["keypoints"].values()] or [[0, 0, 0]], axis=0)
    seen = f"{states[2] / max(states.sum(), 1):.0%} visible, {states[1] / max(states.sum(), 1):.0%} occluded"
    depth = numbers["depth_m"]
    reach = "none" if depth["min"] is None else f"{depth['min']:.2f} to {depth['max']:.2f} m"
    return f"labels: {counts}\nkeypoints: {seen}\ndepth: {reach}\n"


def _quartiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    names = ("min", "lower quartile", "median", "upper quartile", "max")
    return dict(zip(names, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).round(4).tolist(), strict=True))
