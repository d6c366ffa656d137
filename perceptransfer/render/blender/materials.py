"""One material for each object, made once; a scene only changes its numbers, its picture and two links."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

# Pictures that are no longer used. Cycles knows them by their address, so they must not make room for a new one before
# it has drawn without them.
RETIRED: list[Any] = []


def forget_pictures() -> None:
    """Remove what no surface shows any more; only after a picture has been drawn."""
    while RETIRED:
        if (image := RETIRED.pop()) is not None:
            bpy.data.images.remove(image)


class Surface:
    """The node graph of an object: colour source → hue, saturation, value → gamma → principled shader."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.corners = self._node("ShaderNodeVertexColor")
        self.tint = self._node("ShaderNodeHueSaturation")
        self.gamma = self._node("ShaderNodeGamma")
        self.picture = self._node("ShaderNodeTexImage")
        self.picture.projection = "BOX"
        self.mapping = self._node("ShaderNodeMapping")
        where = self._node("ShaderNodeTexCoord")
        self._link(where.outputs["Object"], self.mapping.inputs["Vector"])
        self._link(self.mapping.outputs["Vector"], self.picture.inputs["Vector"])
        self._link(self.tint.outputs["Color"], self.gamma.inputs["Color"])

    def dress(self, material: dict[str, Any], tile: np.ndarray | None, own: Any, stretch: np.ndarray) -> None:
        """Take the look of a plan's material.

        Args:
            material: of the plan.
            tile: [H, W, 3] linear picture that covers ``scale`` metres and repeats, or None for one colour.
            own: output socket of the model's own picture, or None.
            stretch: metres in one unit of the object's own coordinates, along its axes.
        """
        self.shader.inputs["Roughness"].default_value = material["roughness"]
        self.shader.inputs["Specular IOR Level"].default_value = material["specular"]
        base = self.shader.inputs["Base Color"]
        for link in list(base.links):
            self.tree.links.remove(link)
        if material["vertex_colours"] or own is not None:
            self._link(self.corners.outputs["Color"] if own is None else own, self.tint.inputs["Color"])
            self.tint.inputs["Hue"].default_value = 0.5 + material["hue"]
            self.tint.inputs["Saturation"].default_value = material["saturation"]
            self.tint.inputs["Value"].default_value = material["value"]
            self.gamma.inputs["Gamma"].default_value = material["gamma"]
            self._link(self.gamma.outputs["Color"], base)
        elif tile is not None:
            self._paint(tile)
            self.mapping.inputs["Scale"].default_value = list(stretch / material["texture"]["scale"])
            self._link(self.picture.outputs["Color"], base)
        else:
            base.default_value = [*material["colour"], 1.0]

    def _paint(self, tile: np.ndarray) -> None:
        # A new picture each time: Cycles keeps the pixels of one that it has seen, whatever is written into it later.
        RETIRED.append(self.picture.image)
        height, width = tile.shape[:2]
        image = bpy.data.images.new(self.material.name, width, height, alpha=False, float_buffer=True, is_data=True)
        pixels = np.ones((height, width, 4), np.float32)
        pixels[..., :3] = tile
        image.pixels.foreach_set(pixels.ravel())
        image.update()
        self.picture.image = image

    def _node(self, kind: str) -> Any:
        return self.tree.nodes.new(kind)

    def _link(self, output: Any, into: Any) -> None:
        self.tree.links.new(output, into)
