"""Rendered hands, photos, and what one network sees in the photos before and after alignment, as one picture.

First ``perceptransfer render datasets/rigged_hand/scene.yaml results/hands/fingers --engine blenderproc --count 1600
--set+ model=../shared/data/hand_model/hand.blend``, then ``python benchmarks/pictures/hands.py results/hands/fingers
../shared/data/hands_real_count/images OUT.jpg``. The network learns fingers (class), mask and 21 keypoints from renders
alone; alignment reads photos of the training split without their labels. The photos shown are of that split. Writes the
two checkpoints beside the picture and starts from them again. Photos: HandsDataset of SubhiH, Apache-2.0.
"""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jsonargparse import auto_cli
from numpy.typing import NDArray

import perceptransfer as pt
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.data import Annotated, Domain, Folder, StrongAugmentation, TransferData, WeakAugmentation
from perceptransfer.learning import Runtime, answerer, build_model, build_tasks, initial_checkpoint
from perceptransfer.stages import Stage

Pixels = NDArray[np.uint8]
FINGERS: dict[str, str | list[str]] = {
    "0": ["00000"], "1": ["01000"], "2": ["01100"], "3": ["01110", "11100", "00111"], "4": ["01111"], "5": ["11111"]
}  # fmt: skip
BONES = [(0, 1), *((0, base) for base in (5, 9, 13, 17)), *((i, i + 1) for i in range(1, 20) if i % 4)]
CELL, CAPTION = 132, 20
# The first photo of each class without a face, and one more in clutter, in a shuffle of the training split; chosen
# before any prediction was seen.
SHOWN = [
    "0/1528664299.56_pic00098_1.jpg", "1/1528664299.56_pic00081_1.jpg", "2/3_pic00030_1.jpg",
    "3/1528664299.56_pic00061_1.jpg", "4/2_pic00196_1.jpg", "5/2_pic00150_1.jpg", "5/2_pic00158_1.jpg",
]  # fmt: skip


def tasks() -> list[Any]:
    """Class, mask and keypoints."""
    return [
        pt.Classification(num_classes=6, label_smoothing=0.1),
        pt.Segmentation(num_classes=2, scored=[1], width=48),
        pt.Keypoints(num_keypoints=21, width=48),
    ]


def trained(stage: Stage, start: Checkpoint, domains: dict[str, Domain], path: Path) -> Checkpoint:
    """The stage's checkpoint, from the file where it is there."""
    if not path.is_file():
        stage.run(start, domains, seed=0, runtime=Runtime("cpu")).checkpoint.save(path)
    return Checkpoint.load(path)


def seen(checkpoint: Checkpoint, images: Pixels) -> dict[str, NDArray[Any]]:
    """Every task's answers."""
    return answerer(build_model(checkpoint, seed=0), build_tasks(checkpoint), images.shape[1:3])(images)


def drawn(image: Pixels, mask: NDArray[Any], points: NDArray[Any], text: str) -> Pixels:
    """The image with outline, bones as far as the network is sure of their ends, and a caption."""
    zoom = CELL / image.shape[1]
    picture = np.ascontiguousarray(cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_CUBIC))
    large = cv2.resize((mask == 1).astype(np.uint8), (CELL, CELL), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (0, 255, 255), 1, cv2.LINE_AA)
    places = [(round((x + 0.5) * zoom), round((y + 0.5) * zoom)) for x, y, _ in points]
    for first, second in BONES:
        if min(points[first][2], points[second][2]) > 0:
            red, green, blue = colorsys.hsv_to_rgb(((max(first, second) - 1) // 4) / 5, 0.9, 1.0)
            colour = (round(255 * red), round(255 * green), round(255 * blue))
            cv2.line(picture, places[first], places[second], colour, 2, cv2.LINE_AA)
    return captioned(np.asarray(picture, np.uint8), text)


def captioned(picture: Pixels, text: str) -> Pixels:
    """The picture with a line of text below, where there is any."""
    if not text:
        return picture
    line = np.full((CAPTION, CELL, 3), 255, np.uint8)
    cv2.putText(line, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([picture, line])


def large(image: Pixels) -> Pixels:
    """The image at a cell's size."""
    return np.asarray(cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_CUBIC), np.uint8)


def titled(rows: list[tuple[str, list[Pixels]]]) -> Pixels:
    """Rows of cells, each under its title."""
    parts = []
    for title, cells in rows:
        row = np.hstack([np.pad(cell, ((0, 0), (0, 4), (0, 0)), constant_values=255) for cell in cells])
        head = np.full((24, row.shape[1], 3), 255, np.uint8)
        cv2.putText(head, title, (2, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        parts += [head, row]
    return np.vstack(parts)


def main(
    synthetic: str, photos: str, out: str, show: list[str] = SHOWN, steps: int = 1600, size: int = 96
) -> None:  # fmt: skip
    """Train, align, draw.

    Args:
        synthetic: rendered set of finger states.
        photos: folder with ``train`` and ``test``.
        out: picture to write.
        show: photos of the training split, as ``class/name.jpg``.
        steps: of pretraining; alignment takes a quarter.
        size: pixels a side.
    """
    ranges = {"rotate_degrees": [-30.0, 30.0], "log_scale": [-0.3, 0.3]}
    strong = StrongAugmentation(flip=True, ranges=ranges)
    given = Annotated(synthetic, labels=["mask", "keypoints"], class_map=FINGERS)
    real = Folder(photos, split="subfolders")
    data = TransferData(given, real, size=(size, size), val_folder="ignore").prepare(0)
    domains = {role: domain for role, domain in data.items() if role != "test"}
    encoder = pt.Encoder(
        "small_cnn",
        options={"widths": [24, 64, 128, 192], "dim": 192, "downsample": "stem", "pool": "avgmax"},
    )
    place = Path(out)
    pretrain = pt.Pretrain(steps=steps, batch_size=32, lr=0.002, warmup=0.05, augment=strong)
    before = trained(pretrain, initial_checkpoint(encoder, tasks()), domains, place.with_suffix(".before.safetensors"))
    align = pt.Align(
        loss=pt.MCC(), warmup=0.25, steps=steps // 4, batch_size=32, ema_decay=0.99, source_augment=strong,
        target_augment=WeakAugmentation(flip=True),
    )  # fmt: skip
    after = trained(align, before, domains, place.with_suffix(".after.safetensors"))

    images = real.load((size, size))
    names = [record.name for record in images.records]
    chosen = [names.index(f"train/{name}") for name in show]
    picked = images.images(chosen)
    renders = domains["synthetic"]
    some = np.random.default_rng(0).permutation(len(renders))[: len(chosen)]
    truth, masks = renders.target("keypoints")[some, 0], renders.target("mask")[some]
    rows = [
        (
            "rendered, with the labels that come for free",
            [drawn(image, m, p, "") for image, m, p in zip(renders.images(some), masks, truth, strict=True)],
        ),
        (
            "photos, and how many fingers are open",
            [
                captioned(large(image), f"{images.classes[images.labels[i]]}")
                for i, image in zip(chosen, picked, strict=True)
            ],
        ),
    ]
    for title, checkpoint in (("trained on renders alone", before), ("aligned with photos without labels", after)):
        found = seen(checkpoint, picked)
        cells = [
            drawn(image, mask, points, images.classes[int(np.argmax(answer))])
            for image, mask, points, answer in zip(
                picked, found["segmentation"], found["keypoints"], found["class"], strict=True
            )
        ]
        rows.append((title, cells))
    if not cv2.imwrite(str(place), titled(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90]):
        raise SystemExit(f"{place} cannot be written")


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
