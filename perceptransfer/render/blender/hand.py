"""The rigged hand of a .blend file: an armature with control bones and the mesh that follows it."""

from __future__ import annotations

from math import radians
from typing import Any

import bpy
import numpy as np
from mathutils import Euler

FINGERS = 5


class Hand:
    """One hand; posed by angles of its bones in degrees, ``BONE`` or ``BONE.x|y|z`` (without an axis: x, flexion)."""

    def __init__(self, path: str) -> None:
        with bpy.data.libraries.load(path) as (there, here):
            here.objects = list(there.objects)
        loaded = [item for item in here.objects if item is not None]
        rigs = [item for item in loaded if item.type == "ARMATURE"]
        meshes = [item for item in loaded if item.type == "MESH" and item.parent in rigs]
        if len(rigs) != 1 or len(meshes) != 1:
            raise LookupError(f"holds {len(rigs)} armatures and {len(meshes)} meshes on them instead of one and one")
        self.rig, self.mesh = rigs[0], meshes[0]
        for item in set(loaded) - {self.rig, self.mesh}:
            bpy.data.objects.remove(item)
        for item in (self.rig, self.mesh):
            bpy.context.scene.collection.objects.link(item)
        self.rig.rotation_mode = "QUATERNION"
        for polygon in self.mesh.data.polygons:
            polygon.use_smooth = True
        for bone in self.rig.pose.bones:
            bone.rotation_mode = "QUATERNION"
            for constraint in bone.constraints:
                if constraint.type == "COPY_ROTATION":  # the outer joints flex with the inner one, and only that
                    constraint.use_y = constraint.use_z = bone.name.startswith("finger1")

    def skin(self) -> Any:
        """The picture that the model brings along, or None."""
        for slot in self.mesh.material_slots:
            for node in slot.material.node_tree.nodes if slot.material else ():
                if node.type == "TEX_IMAGE" and node.image is not None:
                    return node.image
        return None

    def pose(self, joints: list[tuple[str, float]]) -> None:
        """Take the given angles; every other bone rests."""
        angles: dict[str, list[float]] = {}
        for name, degrees in joints:
            bone, _, axis = name.rpartition(".")
            bone, axis = (bone, axis) if axis in ("x", "y", "z") else (name, "x")
            if bone not in self.rig.pose.bones:
                known = ", ".join(sorted(bone.name for bone in self.rig.pose.bones))
                raise LookupError(f"has no bone {bone!r}; there are {known}")
            angles.setdefault(bone, [0.0, 0.0, 0.0])["xyz".index(axis)] = radians(degrees)
        for bone in self.rig.pose.bones:
            bone.rotation_quaternion = Euler(angles.get(bone.name, (0.0, 0.0, 0.0))).to_quaternion()

    def keypoints(self, mirrored: bool) -> np.ndarray:
        """[21, 3] joints in the model's frame: wrist, then base, middle, distal joint and tip from thumb to little."""
        bpy.context.view_layer.update()
        bones = self.rig.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        points = [bones["wrist.R"].head]
        for finger in range(1, FINGERS + 1):
            chain = [bones[f"finger{finger}-{joint}.R"] for joint in (1, 2, 3)]
            points += [*(bone.head for bone in chain), chain[-1].tail]
        return np.array([point[:] for point in points]) * ([-1, 1, 1] if mirrored else [1, 1, 1])
