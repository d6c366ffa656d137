"""A labelled image set on disk: every sample complete or absent, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import digest, identity_of
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.core.files import output_errors, sha256_file, write_atomic
from perceptransfer.render.engines import engine_identity
from perceptransfer.render.executor import Rendered
from perceptransfer.render.labels import class_mask, row_of
from perceptransfer.render.plan import ScenePlan, View
from perceptransfer.render.scene import Scene
from perceptransfer.render.sensor import develop

DEPTH_SCALE = 1e-4  # metres a step; 16 bits reach 6.5 m, further in larger steps
PARTS = ("mask", "instances", "depth", "normals")
BESIDE = ("dataset.json", "annotations.jsonl", "manifest.json", "statistics.json", "sheet.png", "coco.json", "bop")
FOLDERS = {"file": "images", "mask": "masks", **{name: name for name in PARTS[1:]}}


def begin(
    folder: Path, scene: Scene, seed: int, engine: str = "raycast", options: Mapping[str, Any] | None = None
) -> None:
    """Write dataset.json, or check that the folder holds pictures of the same making; sweep up what a kill left.

    The same making is the same scene with the same contents of its files, seed, engine and options of the engine that
    change pictures.

    Raises:
        ConfigError: the folder holds another set; no such engine.
        OutputError: it cannot be written.
    """
    about = scene.describe()
    about["scene"]["seed"] = seed
    about["scene"]["fingerprint"] = digest([about["scene"]["spec"], seed])
    made_by = engine_identity(engine, options or {})
    about["rendering"] = {**made_by, "fingerprint": digest([identity_of(scene), seed, made_by])}
    path = folder / "dataset.json"
    _sweep(folder)
    if path.exists():
        try:
            old = json.loads(path.read_text())["rendering"]["fingerprint"]
        except (ValueError, KeyError, TypeError):
            old = None
        if old != about["rendering"]["fingerprint"]:
            raise ConfigError(
                "holds a set of another scene or seed, engine, option of the engine or file of the scene",
                where=folder,
                key="output",
                remedy="name a new folder",
            )
    else:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError("is there already and holds no set", where=folder, remedy="name a new folder")
        write_atomic(path, json.dumps(about, indent=1) + "\n")


def _sweep(folder: Path) -> None:
    """Remove what a killed run was writing; of files beside the samples those of known names only."""
    with output_errors(folder):
        for left in [it for name in (*FOLDERS.values(), "labels") for it in (folder / name).glob(".*")]:
            left.unlink(missing_ok=True)
        for left in [it for name in BESIDE for it in folder.glob(f".{name}.*")]:
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def write_sample(folder: Path, scene: Scene, plan: ScenePlan, view: View, seen: Rendered) -> None:
    """Write the files of a sample, then its label row, which makes it count.

    Raises:
        OutputError: the folder cannot be written or the disk is full; the sample then does not count.
    """
    row = row_of(plan, view, seen)
    scale = DEPTH_SCALE * max(1, int(np.ceil(float(seen.depth.max()) / (65535 * DEPTH_SCALE))))
    steps = np.where(seen.depth > 0, np.maximum(np.rint(seen.depth / scale), 1), 0)
    wide = int(seen.instances.max()) > 255
    contents = {
        "file": develop(seen.radiance, view.sensor)[..., ::-1],
        "mask": class_mask(plan, scene.mask_classes, seen.instances),
        "instances": seen.instances if wide else seen.instances.astype(np.uint8),
        "depth": steps.astype(np.uint16),
        "normals": np.rint((seen.normals + 1) * 127.5).astype(np.uint8)[..., ::-1],
    }
    names, hashes = {}, {}
    for part, pixels in contents.items():
        data = _png(pixels)
        names[part] = f"{FOLDERS[part]}/{view.sample:06d}.png"
        hashes[part] = hashlib.sha256(data).hexdigest()
        write_atomic(folder / names[part], data)
    files = {"file": names.pop("file"), "sha256": hashes.pop("file"), **names, "depth_scale": scale, "hashes": hashes}
    write_atomic(label_path(folder, view.sample), json.dumps({**files, **row}, separators=(",", ":")) + "\n")


def label_path(folder: Path, sample: int) -> Path:
    """Where the row of a sample stands once it is complete."""
    return folder / "labels" / f"{sample:06d}.json"


def is_complete(folder: Path, sample: int) -> bool:
    """Whether a sample's row is there and its files are what the row says."""
    try:
        row = json.loads(label_path(folder, sample).read_text())
        hashes = {row["file"]: row["sha256"], **{row[part]: it for part, it in row["hashes"].items()}}
        return all(sha256_file(folder / name) == value for name, value in hashes.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of all samples that count, by number.

    Raises:
        DataError: a row that is no JSON.
    """
    for path in sorted((folder / "labels").glob("[0-9]*.json")):
        try:
            row: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"not a label row ({error})", where=path, remedy="delete it and render again") from error
        yield row


def read_pixels(path: Path) -> NDArray[np.generic]:
    """A picture of the set as it is stored; colours RGB.

    Raises:
        ImageError: missing, or no picture.
    """
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if stored is None:
        raise ImageError("cannot be read", where=path, remedy="render the sample again: delete its file in labels/")
    return np.ascontiguousarray(stored[..., ::-1] if stored.ndim == 3 else stored)


def finish(folder: Path) -> int:
    """Write annotations.jsonl and manifest.json from the rows; the number of samples.

    Raises:
        OutputError: the folder cannot be written.
    """
    about = json.loads((folder / "dataset.json").read_text())
    found = list(rows(folder))
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in found)
    write_atomic(folder / "annotations.jsonl", text)
    files = {row["file"]: {"sha256": row["sha256"], "label": row["label"], "group": row["group"]} for row in found}
    manifest = {"origin": about["origin"], "licence": about["licence"], "files": files}
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return len(found)


def _png(pixels: NDArray[np.generic]) -> bytes:
    done, packed = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert done, "OpenCV refuses the array"
    return packed.tobytes()
