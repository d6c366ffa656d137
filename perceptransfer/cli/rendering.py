"""The command that renders labelled images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import yaml

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.files import write_atomic
from perceptransfer.render import export_bop, export_coco, statistics
from perceptransfer.render.run import render as render_set
from perceptransfer.render.sheet import contact_sheet
from perceptransfer.render.spec import read_scene


def render(
    scene: str,
    output: str,
    count: int = 100,
    workers: int = 1,
    seed: int = 0,
    only: int | None = None,
    engine: str = "raycast",
    options: dict[str, Any] | None = None,
    set: list[str] | None = None,
    export: list[Literal["coco", "bop"]] | None = None,
    recycle: int = 1000,
    blender_python: str | None = None,
    quiet: bool = False,
) -> int:
    """Render labelled images; run again on the same folder, the command goes on where it was, also after a kill.

    Args:
        scene: Scene file, such as datasets/primitives/scene.yaml.
        output: Folder of the set: images, masks, depth, normals, annotations.jsonl, manifest.json, sheet.png.
        count: Number of images; a larger number continues a finished set.
        workers: Rendering processes; the images do not depend on their number.
        seed: Seed of the set; image k depends on the scene file, the files that it names, the engine, its options, the
            seed and k alone.
        only: Number of the one image to be rendered.
        engine: raycast, blenderproc, or the import path of a renderer.
        options: Arguments of the renderer.
        set: Changes to the scene file, such as "spread_m=[0.1, 0.2]" (dotted key, YAML value).
        export: Other layouts to be written as well: coco (coco.json) and bop (folder bop).
        recycle: Scenes after which a rendering process is replaced.
        blender_python: For blenderproc: a Python that has bpy and blenderproc, or a Blender from 4.2 on, instead of an
            environment of our own.
        quiet: Print no progress.
    """
    options = {**(options or {}), **({} if blender_python is None else {"python": blender_python})}
    folder = Path(output)
    made = render_set(
        read_scene(Path(scene), dict(change(text) for text in set or [])),
        folder,
        count,
        seed=seed,
        workers=workers,
        only=only,
        engine=engine,
        options=options,
        recycle=recycle,
        progress=None if quiet else _Line(),
    )
    numbers = statistics.of_set(folder)
    write_atomic(folder / "statistics.json", json.dumps(numbers, indent=1) + "\n")
    contact_sheet(folder, folder / "sheet.png")
    for name in export or []:
        {"coco": export_coco.export, "bop": export_bop.export}[name](folder)
    print(statistics.as_text(numbers), end="")
    print(f"{made} images: {folder}, sample sheet: {folder / 'sheet.png'}")
    return 0


def change(text: str) -> tuple[str, Any]:
    """Dotted key and value of a change written as "key=value".

    Raises:
        ConfigError: it is not written so.
    """
    key, equals, value = text.partition("=")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        equals = ""
    if not equals:
        raise ConfigError(
            f"{text!r} is no change", key="set", remedy='write it as "dotted.key=value", the value in YAML'
        )
    return key.strip(), parsed


class _Line:
    """Progress on one line; the rate is that since the first image of this command, starting the renderer left out."""

    def __init__(self) -> None:
        self.made, self.first = 0, 0.0

    def __call__(self, done: int, wanted: int, seconds: float) -> None:
        self.made += 1
        if self.made == 1:
            self.first = seconds
        rate = (self.made - 1) / max(seconds - self.first, 1e-9)
        told = f", {rate:.1f} images/s, about {(wanted - done) / rate:.0f} s left" if rate else ""
        end = "\n" if done == wanted else ""
        print(f"\r{done}/{wanted}{told}".ljust(60), end=end, file=sys.stderr, flush=True)
