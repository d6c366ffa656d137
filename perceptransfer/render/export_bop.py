"""A set in the layout of the BOP benchmark: poses in millimetres, depth, masks of the visible parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perceptransfer.core.errors import OutputError
from perceptransfer.core.files import all_or_nothing, output_errors, write_atomic
from perceptransfer.render.writer import read_pixels, rows

UNKNOWN_BOX = [-1, -1, -1, -1]  # BOP's way to say that an object's whole outline is not known


def export(folder: Path) -> Path:
    """Write ``bop/train/000000`` with rgb, depth, mask_visib, scene_camera, scene_gt and scene_gt_info.

    Object numbers are those of mask_classes. The box of the whole outline, hidden parts included, is not in the set
    and is given as unknown.

    Returns:
        The folder ``bop``; an older one is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    about = json.loads((folder / "dataset.json").read_text())
    numbers = {name: i for i, name in enumerate(about["mask_classes"])}
    place = folder / "bop"
    if place.is_symlink() or (place.exists() and not (place / "train").is_dir()):
        raise OutputError("is there and was not written by this command", where=place, remedy="remove it")
    shutil.rmtree(place, ignore_errors=True)
    with all_or_nothing(place) as work, output_errors(place):
        scene = work / "train" / "000000"
        for name in ("rgb", "depth", "mask_visib"):
            (scene / name).mkdir(parents=True)
        cameras, poses, infos = {}, {}, {}
        for number, row in enumerate(rows(folder)):
            cameras[str(number)] = _camera(row)
            poses[str(number)] = [_pose(it, numbers) for it in row["objects"]]
            infos[str(number)] = _images(folder, scene, number, row)
        for name, data in (("scene_camera", cameras), ("scene_gt", poses), ("scene_gt_info", infos)):
            write_atomic(scene / f"{name}.json", json.dumps(data, indent=1) + "\n")
    return place


def _camera(row: dict[str, Any]) -> dict[str, Any]:
    world_to_camera = np.linalg.inv(np.asarray(row["camera_to_world"]))
    return {
        "cam_K": np.asarray(row["K"]).ravel().tolist(),
        "depth_scale": row["depth_scale"] * 1000,  # millimetres a step
        "cam_R_w2c": world_to_camera[:3, :3].ravel().tolist(),
        "cam_t_w2c": (1000 * world_to_camera[:3, 3]).tolist(),
    }


def _pose(it: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "cam_R_m2c": np.asarray(it["R"]).ravel().tolist(),
        "cam_t_m2c": (1000 * np.asarray(it["t"])).tolist(),
        "obj_id": numbers[it["class"]],
    }


def _images(folder: Path, scene: Path, number: int, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Copy pictures, write one mask an object; the infos of the objects."""
    shutil.copyfile(folder / row["file"], scene / "rgb" / f"{number:06d}.png")
    shutil.copyfile(folder / row["depth"], scene / "depth" / f"{number:06d}.png")
    instances = read_pixels(folder / row["instances"])
    depth = read_pixels(folder / row["depth"])
    infos = []
    for i, it in enumerate(row["objects"]):
        mask = instances == it["instance"]
        done, packed = cv2.imencode(".png", mask.astype(np.uint8) * 255)
        assert done, "OpenCV refuses a uint8 picture"
        (scene / "mask_visib" / f"{number:06d}_{i:06d}.png").write_bytes(packed.tobytes())
        seen, share = int(mask.sum()), it["visible_fraction"]
        infos.append(
            {
                "bbox_obj": UNKNOWN_BOX,
                "bbox_visib": it["box"] if seen else UNKNOWN_BOX,
                "px_count_all": round(seen / share) if share else 0,
                "px_count_valid": int((mask & (np.asarray(depth, int) > 0)).sum()),
                "px_count_visib": seen,
                "visib_fract": share,
            }
        )
    return infos
