"""Scene folders of the BOP benchmark as checked data, in metres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.data.label_files import read_json

Floats = NDArray[np.float64]
TURNS = 12  # labellings of an object that is symmetric under every turn about an axis
PICTURES = ("rgb", "gray")
ENDINGS = (".png", ".jpg", ".jpeg", ".tif")


@dataclass(frozen=True)
class Placed:
    """One object in one frame: pose (camera from object), boxes (x, y, w, h) in pixels, share that is visible."""

    number: int
    object_id: str
    rotation: Floats
    shift: Floats
    box: tuple[float, ...]
    visible: float


@dataclass(frozen=True)
class Frame:
    """One picture of a scene; ``depth_scale`` is metres a step of the depth image."""

    scene: Path
    number: int
    picture: Path
    camera: Floats
    depth_scale: float
    objects: tuple[Placed, ...]

    @property
    def depth(self) -> Path:
        """Where the depth image would be."""
        return self.scene / "depth" / f"{self.number:06d}.png"

    def mask(self, one: Placed) -> Path:
        """Where the mask of an object's visible part would be."""
        return self.scene / "mask_visib" / f"{self.number:06d}_{one.number:06d}.png"

    def name(self, one: Placed) -> str:
        """How errors call an object."""
        return f"frame {self.number}, object {one.number} (obj_id {one.object_id})"


def read_scene(scene: Path) -> list[Frame]:
    """All frames of a scene by number.

    Raises:
        DataError: a file that is missing, cut off, or does not fit the others.
    """
    poses, cameras, infos = (
        read_json(scene / f"{name}.json", "path") for name in ("scene_gt", "scene_camera", "scene_gt_info")
    )
    frames = []
    try:
        for key in sorted(poses, key=int):
            camera = cameras[key]
            objects = tuple(_placed(*it) for it in enumerate(zip(poses[key], infos[key], strict=True)))
            matrix = np.array(camera["cam_K"], dtype=np.float64).reshape(3, 3)
            scale = float(camera.get("depth_scale", 1.0)) / 1000
            frames.append(Frame(scene, int(key), _picture(scene, int(key)), matrix, scale, objects))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"scene_gt, scene_camera and scene_gt_info do not fit together ({error!r})", where=scene, key="path",
            remedy="every frame needs a camera, and every object a pose and an info",
        ) from error  # fmt: skip
    return frames


def _placed(number: int, both: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Placed:
    pose, info = both
    rotation = np.array(pose["cam_R_m2c"], dtype=np.float64).reshape(3, 3)
    shift = np.array(pose["cam_t_m2c"], dtype=np.float64).reshape(3) / 1000
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2) or not np.isfinite(shift).all():
        raise ValueError(f"object {number} has a pose that is none")
    # [-1, -1, -1, -1] stands for an outline that nobody knows.
    box = next((tuple(map(float, info[key])) for key in ("bbox_obj", "bbox_visib") if min(info[key][2:]) > 0), ())
    return Placed(number, str(pose["obj_id"]), rotation, shift, box, float(info["visib_fract"]))


def _picture(scene: Path, number: int) -> Path:
    candidates = [scene / folder / f"{number:06d}{ending}" for folder in PICTURES for ending in ENDINGS]
    return next((path for path in candidates if path.is_file()), candidates[0])


def equivalent_poses(info: Any, where: Path) -> list[Floats]:
    """Motions ``[4, 4]`` (metres) that leave an object as it looks, by its entry in models_info.json.

    First comes the one that moves nothing. A turn about an axis by any angle is taken as twelve turns.

    Raises:
        DataError: a symmetry that is no rigid motion.
    """
    motions = [np.eye(4)]
    try:
        for flat in info.get("symmetries_discrete", ()):
            motion = np.array(flat, dtype=np.float64).reshape(4, 4)
            motion[:3, 3] /= 1000
            motions.append(motion)
        for turn in info.get("symmetries_continuous", ()):
            axis, offset = (np.array(turn[key], dtype=np.float64) for key in ("axis", "offset"))
            steps = [_turned(axis / np.linalg.norm(axis), offset / 1000, k * math.tau / TURNS) for k in range(TURNS)]
            motions = [step @ motion for motion in motions for step in steps]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"a symmetry is no motion ({error!r})", where=where, key="models_info", remedy="copy BOP's file again"
        ) from error
    return motions


def _turned(axis: Floats, offset: Floats, angle: float) -> Floats:
    """Rodrigues' rotation about an axis through ``offset``."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation, offset - rotation @ offset
    return motion
