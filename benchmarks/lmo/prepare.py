"""LINEMOD-Occluded as labelled object crops: ``python benchmarks/lmo/prepare.py DATA OUT``.

DATA holds ``lmo_real`` (BOP-19 test frames, meshes, annotated poses) and ``lmo_synth``; OUT gets ``real`` and
``reference``, with class, mask, depth and keypoints, in the layout that `perceptransfer.Annotated` reads, and
``frames``: whole frames of the train split, without labels, as backgrounds of renders.

A real crop is the square around the object's amodal (projected) box times 1.2, at 96 px, of objects that are at least
30 % visible; beyond the frame the picture repeats its border and the mask is ignored. Keypoints are the object's centre
and eight far points of its mesh by the annotated pose; of the symmetric eggbox and glue both labellings. Splits are
blocks of ten consecutive frames (``split_blocks.json``); a block is a test group. Depth is NOT measured: it is that of
the mesh in the annotated pose, where the object is visible.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE, MARGIN, VISIBLE, IGNORE, BLOCK = 96, 1.2, 0.3, 255, 10
SCALE = 1e-4  # metres a step of the 16-bit depth
NEAR = 0.01  # m: a keypoint this close to the visible surface is seen
Floats = NDArray[np.float64]


class Model:
    """Vertices [V, 3], nine keypoints and equivalent poses of one object, in metres."""

    def __init__(self, mesh: Path, info: dict[str, Any], keypoints: Any) -> None:
        self.vertices = read_vertices(mesh) / 1000
        self.keypoints = np.array(keypoints) / 1000
        self.turns = [np.eye(4)]
        for turn in info.get("symmetries_discrete", []):
            matrix = np.array(turn, dtype=np.float64).reshape(4, 4)
            matrix[:3, 3] /= 1000
            self.turns.append(matrix)


def read_vertices(path: Path) -> Floats:
    """Vertices of an ASCII PLY."""
    lines = path.read_text().split("\n")
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    start = lines.index("end_header") + 1
    return np.array([[float(v) for v in line.split()[:3]] for line in lines[start : start + count]])


def project(points: Floats, camera: Floats, rotation: Floats, shift: Floats) -> tuple[Floats, Floats]:
    """Pixels [P, 2] and distances [P] of object points."""
    seen = points @ rotation.T + shift
    flat = seen @ camera.T
    return flat[:, :2] / flat[:, 2:], seen[:, 2]


def surface(model: Model, camera: Floats, rotation: Floats, shift: Floats) -> Floats:
    """Distance [SIZE, SIZE] of the nearest mesh vertex around each pixel, 0 where there is none."""
    pixels, far = project(model.vertices, camera, rotation, shift)
    depth = np.full((SIZE + 2, SIZE + 2), np.inf)
    cells = np.rint(pixels).astype(int)
    for down in (-1, 0, 1):  # meshes are dense: at 96 px neighbouring vertices are about a pixel apart
        for across in (-1, 0, 1):
            column, row = cells[:, 0] + across + 1, cells[:, 1] + down + 1
            inside = (column >= 0) & (row >= 0) & (column < SIZE + 2) & (row < SIZE + 2)
            np.minimum.at(depth, (row[inside], column[inside]), far[inside])
    depth = depth[1:-1, 1:-1]
    return np.where(np.isfinite(depth), depth, 0.0)


def labels(model: Model, camera: Floats, rotation: Floats, shift: Floats, visible: NDArray[np.bool_]) -> dict[str, Any]:
    """Keypoints of every equivalent labelling and the depth where the object is visible."""
    depth = np.where(visible, surface(model, camera, rotation, shift), 0.0)
    labellings = []
    for turn in model.turns:
        points = model.keypoints @ turn[:3, :3].T + turn[:3, 3]
        pixels, far = project(points, camera, rotation, shift)
        cells = np.rint(pixels).astype(int).clip(0, SIZE - 1)
        seen = (depth[cells[:, 1], cells[:, 0]] > 0) & (np.abs(depth[cells[:, 1], cells[:, 0]] - far) < NEAR)
        inside = ((pixels >= -0.5) & (pixels < SIZE - 0.5)).all(1)
        flags = np.where(inside, 1 + seen, 0)  # beyond the picture: not labelled
        labellings.append([[round(x, 3), round(y, 3), int(v)] for (x, y), v in zip(pixels, flags, strict=True)])
    return {"keypoints": labellings, "depth": depth}


class Writer:
    """Writes one set."""

    def __init__(self, folder: Path, names: list[str], about: dict[str, Any]) -> None:
        self.folder, self.rows = folder, []
        for part in ("images", "masks", "depth"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        points = ["origin", *(f"vertex {i}" for i in range(8))]  # as `render` names them, so that sets can be joined
        head = {"format": 1, "classes": names, "mask_classes": ["background", *names], "keypoint_names": points}
        (folder / "dataset.json").write_text(json.dumps({**head, **about}, indent=1))

    def add(
        self, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8], found: dict[str, Any], **row: Any
    ) -> None:
        """One crop; ``image`` is RGB."""
        files = {"file": f"images/{name}.png", "mask": f"masks/{name}.png", "depth": f"depth/{name}.png"}
        cv2.imwrite(str(self.folder / files["file"]), image[..., ::-1])
        cv2.imwrite(str(self.folder / files["mask"]), mask)
        cv2.imwrite(str(self.folder / files["depth"]), np.rint(found["depth"] / SCALE).astype(np.uint16))
        sha = hashlib.sha256((self.folder / files["file"]).read_bytes()).hexdigest()
        self.rows.append({**files, "sha256": sha, "depth_scale": SCALE, "keypoints": found["keypoints"], **row})

    def close(self) -> None:
        """Write the rows."""
        lines = sorted(self.rows, key=lambda row: row["file"])
        (self.folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))


def class_index(names: dict[int, str]) -> NDArray[np.uint8]:
    """Mask class of every value of the given masks: objects are numbered from 1 in the order of their names."""
    table = np.zeros(256, np.uint8)
    table[sorted(names)] = np.arange(1, len(names) + 1)
    table[IGNORE] = IGNORE
    return table


def real(data: Path, folder: Path, backgrounds: Path, models: dict[int, Model], names: dict[int, str]) -> None:
    """Crops of the real frames, and copies of those of the train split."""
    backgrounds.mkdir(parents=True, exist_ok=True)
    frames = json.loads((data / "annotations.json").read_text())
    splits = json.loads((data / "split_blocks.json").read_text())
    about = {"origin": "LINEMOD-Occluded, BOP-19 test images", "licence": "see the data's README"}
    writer, index = Writer(folder, [names[i] for i in sorted(names)], about), class_index(names)
    for number, frame in enumerate(sorted(frames, key=lambda one: str(one["file"]))):
        part = splits[frame["file"]]
        if part == "gap":
            continue
        if part == "train":
            shutil.copyfile(data / "images" / frame["file"], backgrounds / frame["file"])
        image = cv2.imread(str(data / "images" / frame["file"]))[..., ::-1]
        classes = cv2.imread(str(data / "masks" / frame["file"].replace(".jpg", ".png")), cv2.IMREAD_UNCHANGED)
        camera = np.array(frame["cam_K"]).reshape(3, 3)
        for item in frame["objects"]:
            if item["visib_fract"] < VISIBLE:
                continue
            model = models[item["obj_id"]]
            rotation, shift = np.array(item["R"]).reshape(3, 3), np.array(item["t_mm"]) / 1000
            pixels, _ = project(model.vertices, camera, rotation, shift)
            low, high = pixels.min(0), pixels.max(0)
            side = MARGIN * float((high - low).max())
            factor, corner = SIZE / side, (low + high) / 2 - side / 2
            move = np.array([[factor, 0, -factor * corner[0] - 0.5 + 0.5 * factor], [0, factor, 0], [0, 0, 1.0]])
            move[1, 2] = -factor * corner[1] - 0.5 + 0.5 * factor
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
            crop = cv2.warpAffine(image, move[:2], (SIZE, SIZE), flags=how, borderMode=cv2.BORDER_REPLICATE)
            mask = cv2.warpAffine(
                classes,
                move[:2],
                (SIZE, SIZE),
                flags=cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=IGNORE,
            )
            visible = mask == item["obj_id"]
            found = labels(model, move @ camera, rotation, shift, visible)
            name = f"{Path(frame['file']).stem}_{item['name']}"
            row = {"label": item["name"], "split": part, "group": f"block {number // BLOCK}"}
            writer.add(name, crop, index[mask], found, **row, K=(move @ camera).tolist())
    writer.close()


def reference(data: Path, folder: Path, models: dict[int, Model], names: dict[int, str]) -> None:
    """The given rendered crops."""
    about = {"origin": "reference renders of the LM-O meshes", "licence": "see the data's README"}
    writer, index = Writer(folder, [names[i] for i in sorted(names)], about), class_index(names)
    for item in json.loads((data / "annotations.json").read_text()):
        image = cv2.imread(str(data / "images" / f"{item['file']}.jpg"))[..., ::-1]
        mask = cv2.imread(str(data / "masks" / f"{item['file']}.png"), cv2.IMREAD_UNCHANGED)
        camera, rotation = np.array(item["K"]).reshape(3, 3), np.array(item["R"]).reshape(3, 3)
        found = labels(models[item["obj_id"]], camera, rotation, np.array(item["t_mm"]) / 1000, mask == item["obj_id"])
        row = {"label": item["name"], "group": item["scene"], "K": camera.tolist()}
        writer.add(item["file"], image, index[mask], found, **row)
    writer.close()


def main() -> None:
    """Write both sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    points = json.loads((given.data / "lmo_synth" / "model_keypoints.json").read_text())
    info = json.loads((given.data / "lmo_real" / "models" / "models_info.json").read_text())
    names = {item["obj_id"]: name for name, item in points.items()}
    models = {
        number: Model(
            given.data / "lmo_real" / "models" / f"obj_{number:06d}.ply", info[str(number)], points[name]["points_mm"]
        )
        for number, name in names.items()
    }
    real(given.data / "lmo_real", given.out / "real", given.out / "frames", models, names)
    reference(given.data / "lmo_synth", given.out / "reference", models, names)


if __name__ == "__main__":
    main()
