"""What an evaluation says: success with its interval, perception error beside it, and a filmstrip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from perceptransfer.core.files import output_errors
from perceptransfer.metrics import Proportion, wilson
from perceptransfer.robot.arrays import Pixels
from perceptransfer.robot.closed_loop import Row


@dataclass(frozen=True)
class Summary:
    """Episodes of one condition: how many succeeded, mean final distance (m), mean perception error (m) if any."""

    condition: str
    success: Proportion
    distance: float
    perception_error: float | None


def summarize(rows: Iterable[Row]) -> list[Summary]:
    """One summary a condition, in order of appearance; rows of several training seeds are pooled.

    The interval treats episodes as independent, so with several seeds it is about these trained policies.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.condition, []).append(row)
    return [_summary(name, group) for name, group in groups.items()]


def _summary(name: str, rows: Sequence[Row]) -> Summary:
    errors = [row.perception_error for row in rows if row.perception_error is not None]
    return Summary(
        name,
        wilson(sum(row.success for row in rows), len(rows)),
        float(np.mean([row.distance for row in rows])),
        float(np.mean(errors)) if errors else None,
    )


def markdown(summaries: Iterable[Summary]) -> str:
    """Table of summaries; distances in cm."""
    lines = ["| condition | success (95 % interval) | final distance, cm | perception error, cm |", "|---|---|---|---|"]
    for item in summaries:
        error = "–" if item.perception_error is None else f"{100 * item.perception_error:.1f}"
        lines.append(f"| {item.condition} | {item.success} | {100 * item.distance:.1f} | {error} |")
    return "\n".join(lines) + "\n"


def filmstrip(films: Sequence[Pixels], path: Path, *, frames: int = 10, scale: int = 2) -> None:
    """Write a PNG: one line an episode ``[T, H, W, 3]``, ``frames`` pictures evenly spread over its time.

    Raises:
        OutputError: the folder cannot be written.
    """
    lines = []
    for film in films:
        chosen = np.rint(np.linspace(0, len(film) - 1, frames)).astype(int)
        lines.append(np.concatenate(list(film[chosen]), axis=1))
    image = np.concatenate(lines).repeat(scale, axis=0).repeat(scale, axis=1)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, format="PNG")
