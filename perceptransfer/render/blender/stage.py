"""The one Blender scene of a worker: its objects, lights and materials are made once, then moved and recoloured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from hand import Hand
from materials import Surface
from mathutils import Matrix, Vector
from shapes import Part, parts_of

LIGHTS = 8  # of each kind; all exist from the start, because their order decides which random numbers they get
NOWHERE = (0.0, 0.0, -1000.0)


class Slot:
    """An object of the pool with its material; ``own`` is the output of the model's own picture, if it has one."""

    def __init__(self, item: Any, hand: Hand | None = None) -> None:
        self.item, self.hand, self.own = item, hand, None
        self._geometry: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.surface = Surface(item.name)
        if hand is not None and (skin := hand.skin()) is not None:
            node = self.surface.tree.nodes.new("ShaderNodeTexImage")
            node.image = skin
            self.own = node.outputs["Color"]
        item.data.materials.clear()
        item.data.materials.append(self.surface.material)
        self.mover = item if hand is None else hand.rig
        self.mover.rotation_mode = "QUATERNION"

    def move(self, part: Part) -> None:
        """To its place. Not through ``matrix_world``: that is taken apart with regard to the last rotation."""
        self.mover.location = Vector(part.place)
        self.mover.rotation_quaternion = Matrix(part.rotation.tolist()).to_quaternion()
        self.mover.scale = Vector(part.stretch)

    def geometry(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices [V, 3] in the object's own frame, triangles [T, 3], corners of the box around the vertices [8, 3].

        Those of a hand change with its pose.
        """
        if self._geometry is None or self.hand is not None:
            mesh = self.item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
            vertices = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", vertices)
            triangles = np.empty(3 * len(mesh.loop_triangles), np.int32)
            mesh.loop_triangles.foreach_get("vertices", triangles)
            points = vertices.reshape(-1, 3).astype(np.float64)
            ends = np.stack([points.min(0), points.max(0)])
            box = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
            self._geometry = points, triangles.reshape(-1, 3), box
        return self._geometry

    def park(self) -> None:
        """Out of sight; hiding it would change the order of what is left."""
        self.mover.location, self.mover.scale = Vector(NOWHERE), Vector((1e-6, 1e-6, 1e-6))


class Stage:
    """Builds plans; `slots` then holds, for each body, the objects that show it."""

    def __init__(self, bproc: Any) -> None:
        self.bproc = bproc
        self.pool: dict[str, list[Slot]] = {}
        self.slots: list[list[Slot]] = []
        self.lights = {
            kind: [self._new_light(blender) for _ in range(LIGHTS)]
            for kind, blender in {"point": "POINT", "area": "AREA", "sun": "SUN"}.items()
        }

    def build(self, plan: dict[str, Any], tiles: dict[str, str]) -> None:
        """Show the plan. ``tiles`` names a file with the picture of every body that has one."""
        self.slots, taken = [], dict.fromkeys(self.pool, 0)
        for body in plan["bodies"]:
            shown = []
            for part in parts_of(body):
                number = taken.get(part.kind, 0)
                taken[part.kind] = number + 1
                slot = self._slot(part.kind, number)
                slot.item.pass_index = body["instance"]
                slot.move(part)
                if slot.hand is not None:
                    slot.hand.pose(body["joints"])
                tile = tiles.get(str(body["instance"]))
                slot.surface.dress(body["material"], None if tile is None else np.load(tile), slot.own, part.stretch)
                shown.append(slot)
            self.slots.append(shown)
        for kind, slots in self.pool.items():
            for slot in slots[taken[kind] :]:
                slot.park()
        self._light(plan["lights"])

    def _slot(self, kind: str, number: int) -> Slot:
        slots = self.pool.setdefault(kind, [])
        if number == len(slots):
            try:
                slots.append(self._new(kind))
            except (LookupError, RuntimeError, OSError) as error:
                raise LookupError(f"{kind}: {error}") from error
        return slots[number]

    def _new(self, kind: str) -> Slot:
        kind, _, path = kind.partition(" ")
        create = self.bproc.object.create_primitive
        match kind:
            case "hand":
                hand = Hand(path)
                return Slot(hand.mesh, hand)
            case "mesh":
                item = _load_mesh(Path(path))
            case "sphere":
                item = create("SPHERE", segments=48, ring_count=32).blender_obj
            case "cylinder":
                item = create("CYLINDER", vertices=64, radius=1.0, depth=1.0).blender_obj
            case "box":
                item = create("CUBE", size=1.0).blender_obj
            case _:
                item = create("PLANE", size=1.0).blender_obj
        if kind in {"sphere", "mesh"}:
            item.data.shade_smooth()
            _hold_normals(item.data)
        return Slot(item)

    def _new_light(self, kind: str) -> Any:
        light = self.bproc.types.Light(light_type=kind).blender_obj
        light.rotation_mode = "QUATERNION"
        light.visible_camera = False
        light.data.energy = 0.0
        return light

    def _light(self, lights: list[dict[str, Any]]) -> None:
        free = {kind: list(items) for kind, items in self.lights.items()}
        world = np.zeros(3)
        for light in lights:
            if light["kind"] == "world":
                world += light["energy"] * np.array(light["colour"])
                continue
            if not free[light["kind"]]:
                raise LookupError(f"more than {LIGHTS} lights of kind {light['kind']}")
            item = free[light["kind"]].pop(0)
            item.data.color, item.data.energy = light["colour"], light["energy"]
            item.location = Vector(light["position"])
            item.rotation_quaternion = Vector(light["direction"]).to_track_quat("-Z", "Y")
            if light["kind"] == "area":
                item.data.size = light["size"]
            else:
                item.data.shadow_soft_size = 0.0 if light["kind"] == "point" else item.data.shadow_soft_size
        for item in (item for items in free.values() for item in items):
            item.data.energy = 0.0
        self.bproc.renderer.set_world_background([float(part) for part in world], strength=1.0)


def _load_mesh(path: Path) -> Any:
    known = set(bpy.data.objects)
    bpy.ops.wm.ply_import(filepath=str(path), forward_axis="Y", up_axis="Z")
    new = [item for item in bpy.data.objects if item not in known]
    if len(new) != 1 or not new[0].data.polygons:
        raise LookupError("holds no faces")
    # Normals from the file are kept as sums over fans of corners, added up in another order in every process.
    for name in ("custom_normal", "sharp_edge", "sharp_face"):
        if name in new[0].data.attributes:
            new[0].data.attributes.remove(new[0].data.attributes[name])
    new[0].data.transform(new[0].matrix_world)
    new[0].matrix_world = Matrix.Identity(4)
    return new[0]


def _hold_normals(mesh: Any) -> None:
    """Give a mesh normals of our own, mean over the corners' angles: Blender's differ in the last bit by process.

    Free normals came with Blender 4.5; before that a picture may differ from itself in its last bits.
    """
    if bpy.app.version < (4, 5, 0):
        return
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    mesh.calc_loop_triangles()
    corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", corners)
    corners = corners.reshape(-1, 3)
    ends = points.reshape(-1, 3).astype(np.float64)[corners]
    normals = np.zeros((len(mesh.vertices), 3))
    faces = np.cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0])
    faces /= np.linalg.norm(faces, axis=1, keepdims=True).clip(1e-30)
    for i in range(3):
        one, other = ends[:, (i + 1) % 3] - ends[:, i], ends[:, (i + 2) % 3] - ends[:, i]
        angle = np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(1))
        np.add.at(normals, corners[:, i], faces * angle[:, None])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-30)
    held = mesh.attributes.new("custom_normal", "FLOAT_VECTOR", "POINT")
    held.data.foreach_set("vector", normals.astype(np.float32).ravel())
    mesh.update()
