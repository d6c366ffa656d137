"""What a calibration found: numbers as JSON, a page of Markdown, and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from perceptransfer.core.files import output_errors, write_atomic
from perceptransfer.render.calibration.features import NAMES, describe
from perceptransfer.render.calibration.fit import Calibration
from perceptransfer.render.calibration.space import LIMITS
from perceptransfer.render.distributions import Distribution
from perceptransfer.render.optics import SensorRanges

Pixels = NDArray[np.uint8]
COLOURS = {"real": "black", "before": "tab:orange", "after": "tab:blue"}
COLUMNS, LINES = 6, 5


def numbers(found: Calibration, start: SensorRanges, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as plain data; ``about`` is put beside it."""
    sets = {name: describe(images) for name, images in pictures(found).items()}
    return {
        **about,
        "kept": found.judged.better,
        "distance": {key: _rounded(value) for key, value in asdict(found.judged).items()},
        "images": {name: len(rows) for name, rows in sets.items()},
        "ranges": {
            name: {"before": _words(start.ranges[name]), "after": [it.low, it.high], "limits": list(LIMITS[name][:2])}
            for name, it in found.ranges.items()
        },
        "statistics": {
            name: {of: _rounded([rows[:, i].mean(), rows[:, i].std()]) for of, rows in sets.items()}
            for i, name in enumerate(NAMES)
        },
    }


def pictures(found: Calibration) -> dict[str, Pixels]:
    """The held-out photos and the same renders before and after."""
    return {"real": found.real, "before": found.before, "after": found.after}


def write_report(stem: Path, found: Calibration, data: Mapping[str, Any]) -> list[Path]:
    """Write STEM.json, STEM.md and STEM.png.

    Raises:
        OutputError: the folder cannot be written.
    """
    paths = [stem.with_suffix(ending) for ending in (".json", ".md", ".png")]
    write_atomic(paths[0], json.dumps(data, indent=1) + "\n")
    write_atomic(paths[1], as_markdown(data, paths[2].name))
    with output_errors(paths[2]):
        _figure(found).savefig(paths[2], dpi=88)
    return paths


def as_markdown(data: Mapping[str, Any], picture: str) -> str:
    """The page for people."""
    far, count = data["distance"], data["images"]
    verdict = (
        "The fitted ranges are kept."
        if data["kept"]
        else "**Not better on photos that were not fitted: the ranges were left as they were.**"
    )
    beside = f" and the features of {data['encoder']}" if data.get("encoder") else ""
    lines = [
        f"# Sensor ranges fitted to {data['photos']}",
        "",
        f"{verdict} Fréchet distance of {len(NAMES)} image statistics{beside} to {count['real']} held-out photos:",
        "",
        "| pictures | distance |",
        "|---|---|",
        f"| perfect sensor | {far['untouched']:.3f} |",
        f"| before | {far['before']:.3f} |",
        f"| after | {far['after']:.3f} |",
        f"| other photos (floor) | {far['floor']:.3f} |",
        "",
        f"Gain {far['before'] - far['after']:.3f}, 95 % interval {far['gain'][0]:.3f} to {far['gain'][1]:.3f} over "
        f"resampled images; {far['evaluations']} candidates. A distance that was not minimised (sliced Wasserstein): "
        f"{far['second_opinion'][0]:.3f} before, {far['second_opinion'][1]:.3f} after. {data.get('note', '')}".rstrip(),
        "",
        "| parameter | before | fitted | limits | unit |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['before']} | {row['after'][0]:.4g} to {row['after'][1]:.4g} "
        f"| {row['limits'][0]:g} to {row['limits'][1]:g} | {LIMITS[name].unit} |"
        for name, row in data["ranges"].items()
    ]
    lines += ["", f"![photos, before, after]({picture})", ""]
    return "\n".join(lines)


def _figure(found: Calibration) -> Figure:
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    axes = figure.subplots(2, 3, height_ratios=[1.35, 1])
    sets = pictures(found)
    far = found.judged
    for axis, (name, images) in zip(axes[0], sets.items(), strict=True):
        axis.imshow(_grid(images))
        axis.set_axis_off()
        axis.set_title({"real": "photos (held out)", "before": f"before: {far.before:.3f}",
                        "after": f"after: {far.after:.3f}"}[name])  # fmt: skip
    rows = {name: describe(images) for name, images in sets.items()}
    energy = [i for i, name in enumerate(NAMES) if name.startswith("lightness energy")]
    for name, colour in COLOURS.items():
        light = sets[name].mean(-1).ravel() / 255
        tint = (sets[name][..., 0].astype(float) - sets[name][..., 2]).ravel() / 255
        axes[1, 0].hist(light, bins=64, range=(0, 1), density=True, histtype="step", color=colour, label=name)
        axes[1, 1].hist(tint, bins=64, range=(-0.6, 0.6), density=True, histtype="step", color=colour)
        middle, spread = rows[name][:, energy].mean(0), rows[name][:, energy].std(0)
        axes[1, 2].plot(range(len(energy)), middle, color=colour)
        axes[1, 2].fill_between(range(len(energy)), middle - spread, middle + spread, color=colour, alpha=0.12)
    for axis, text in zip(axes[1], ("lightness", "red − blue", "log energy by octave, finest first"), strict=True):
        axis.set_xlabel(text)
    axes[1, 0].legend()
    return figure


def _grid(images: Pixels) -> Pixels:
    chosen = images[np.unique(np.linspace(0, len(images) - 1, COLUMNS * LINES).astype(int))]
    chosen = np.concatenate([chosen, np.full((-len(chosen) % COLUMNS, *images.shape[1:]), 255, np.uint8)])
    lines = chosen.reshape(-1, COLUMNS, *images.shape[1:])
    return np.concatenate([np.concatenate(list(line), axis=1) for line in lines])


def _words(given: Distribution) -> str:
    return f"{given.low:.4g}" if given.low == given.high else f"{given.low:.4g} to {given.high:.4g}"


def _rounded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_rounded(it) for it in value]
    return round(float(value), 5) if isinstance(value, float) else value
