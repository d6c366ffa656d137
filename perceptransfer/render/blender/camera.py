"""Takes the pictures of a view: one with light, one for the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from outline import covered
from stage import Slot

BLENDER_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender's camera looks along -z with y up


class Studio:
    """The renderer's settings; everything that decides a pixel is set here."""

    def __init__(self, bproc: Any, samples: int, bounces: int) -> None:
        self.bproc, self.samples, self.bounces = bproc, samples, bounces
        self.scene = scene = bpy.context.scene
        bproc.renderer.set_denoiser(None)
        bproc.renderer.set_noise_threshold(0)
        bproc.renderer.set_cpu_threads(1)
        # For objects that only move: BlenderProc's static hierarchy is built anew for every scene.
        scene.cycles.debug_bvh_type, scene.cycles.debug_use_spatial_splits = "DYNAMIC_BVH", False
        scene.cycles.use_animated_seed = False
        scene.render.use_persistent_data = True
        scene.render.film_transparent = True  # the background comes later, the world only lights
        scene.render.use_compositing = scene.render.use_sequencer = False
        settings = scene.render.image_settings
        settings.file_format, settings.exr_codec, settings.color_depth = "OPEN_EXR_MULTILAYER", "NONE", "32"
        layer = bpy.context.view_layer
        layer.use_pass_z = layer.use_pass_normal = layer.use_pass_object_index = True

    def aim(self, camera: dict[str, Any]) -> None:
        """Stand where the view's camera stands, with its K."""
        self.bproc.camera.set_intrinsics_from_K_matrix(camera["K"], camera["width"], camera["height"], 0.01, 100.0)
        place = np.array(camera["world_from_camera"]) @ BLENDER_FROM_OPENCV
        item = self.scene.camera
        item.rotation_mode = "QUATERNION"
        item.location = place[:3, 3].tolist()
        item.rotation_quaternion = Matrix(place[:3, :3].tolist()).to_quaternion()

    def colours(self, path: Path, seed: int) -> None:
        """What the lens would get."""
        cycles = self.scene.cycles
        cycles.samples, cycles.seed, cycles.max_bounces = self.samples, seed, self.bounces
        cycles.diffuse_bounces = cycles.glossy_bounces = self.bounces
        cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5
        self._write(path)

    def labels(self, path: Path) -> None:
        """Depth, normal and number of the body, each through the exact centre of its pixel."""
        cycles = self.scene.cycles
        cycles.samples, cycles.seed, cycles.max_bounces = 1, 0, 0
        cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
        self._write(path)

    def _write(self, path: Path) -> None:
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)


def outline_pixels(slots: list[Slot], camera: dict[str, Any]) -> int:
    """Pixels of the picture that a body would cover if nothing stood before it."""
    width, height = camera["width"], camera["height"]
    mask = np.zeros((height, width), bool)
    camera_from_world, intrinsics = np.linalg.inv(camera["world_from_camera"]), np.array(camera["K"])
    for slot in slots:
        vertices, triangles, box = slot.geometry()
        pixels_from_item = intrinsics @ (camera_from_world @ np.array(slot.item.matrix_world))[:3]
        corners = _project(box, pixels_from_item)
        low, high = corners.min(0), corners.max(0)
        if (high < 0).any() or (low > [width - 1, height - 1]).any():
            continue  # never for NaN: part of the body is behind the camera
        mask |= covered(_project(vertices, pixels_from_item), triangles, width, height)
    return int(mask.sum())


def _project(points: np.ndarray, pixels_from_item: np.ndarray) -> np.ndarray:
    """Pixels [N, 2] of points [N, 3], NaN for those behind the camera."""
    seen = points @ pixels_from_item[:, :3].T + pixels_from_item[:, 3]
    return seen[:, :2] / np.where(seen[:, 2:] > 0, seen[:, 2:], np.nan)
