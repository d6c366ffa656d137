"""The shapes of a plan as parts: objects of one kind, moved, turned and stretched."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Part(NamedTuple):
    """One Blender object; ``kind`` names the geometry that it shares with its like."""

    kind: str
    rotation: np.ndarray
    place: np.ndarray
    stretch: np.ndarray


def parts_of(body: dict[str, Any]) -> list[Part]:
    """The parts of a body in the world."""
    pose = np.array(body["world_from_object"])
    rotation, place, scale = pose[:3, :3], pose[:3, 3], body["scale"]
    return [
        Part(kind, rotation @ turn, place + scale * rotation @ move, scale * np.asarray(stretch, float))
        for kind, turn, move, stretch in _local(body["shape"])
    ]


def _local(shape: dict[str, Any]) -> list[tuple[str, np.ndarray, np.ndarray, Any]]:
    here, none = np.zeros(3), np.eye(3)
    match shape["shape"]:
        case "Sphere":
            return [("sphere", none, here, [shape["radius"]] * 3)]
        case "Box":
            return [("box", none, here, shape["size"])]
        case "Cylinder":
            return [("cylinder", none, here, [shape["radius"], shape["radius"], shape["height"]])]
        case "Plane":
            return [("plane", none, here, [*shape["size"], 1.0])]
        case "Capsule":
            return _capsule(shape)
        case "Capsules":
            return [part for capsule in shape["parts"] for part in _capsule(capsule)]
        case "Mesh":
            return [(f"mesh {shape['path']}", none, here, [shape["unit"]] * 3)]
        case "RiggedHand":
            return [(f"hand {shape['path']}", none, here, [-1.0 if shape["mirrored"] else 1.0, 1.0, 1.0])]
        case other:
            raise ValueError(f"no shape {other!r}")


def _capsule(shape: dict[str, Any]) -> list[tuple[str, np.ndarray, np.ndarray, Any]]:
    start, end, radius = np.array(shape["start"]), np.array(shape["end"]), shape["radius"]
    ball = [radius] * 3
    caps = [("sphere", np.eye(3), start, ball), ("sphere", np.eye(3), end, ball)]
    length = float(np.linalg.norm(end - start))
    if length < 1e-9:
        return caps[:1]
    return [*caps, ("cylinder", _turn_z_to((end - start) / length), (start + end) / 2, [radius, radius, length])]


def _turn_z_to(axis: np.ndarray) -> np.ndarray:
    """A rotation that takes z to the unit vector ``axis``."""
    helper = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(helper, axis)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(axis, x), axis], axis=1)
