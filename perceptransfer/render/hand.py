"""A right hand of capsules with 21 joints, posed by angles.

Frame: the wrist at the origin, y towards the middle finger, x towards the little finger, z out of the back. Lengths
are those of an average adult (Buryanov & Kotiuk 2010 for the phalanges), in metres at scale 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.plan import Capsule, Capsules, Vector
from perceptransfer.render.rotations import about

Floats = NDArray[np.float64]
FINGERS = ("thumb", "index", "middle", "ring", "little")
KEYPOINT_NAMES = (
    "wrist",
    *(f"{finger} {joint}" for finger in FINGERS for joint in ("base", "middle", "distal", "tip")),
)


@dataclass(frozen=True)
class Finger:
    """Where a finger starts, the lengths and radii of its three bones, and its direction in the flat hand."""

    base: Vector
    lengths: Vector
    radii: Vector
    heading: float  # degrees about z, against the clock as seen from the back


ANATOMY = {
    "thumb": Finger((-0.022, 0.022, -0.008), (0.043, 0.034, 0.027), (0.0135, 0.0105, 0.0095), 42.0),
    "index": Finger((-0.028, 0.090, 0.0), (0.043, 0.026, 0.021), (0.0095, 0.0085, 0.0075), 4.0),
    "middle": Finger((-0.006, 0.094, 0.002), (0.047, 0.030, 0.022), (0.0097, 0.0087, 0.0077), 0.0),
    "ring": Finger((0.014, 0.088, 0.0), (0.043, 0.028, 0.022), (0.0092, 0.0082, 0.0074), -4.0),
    "little": Finger((0.032, 0.079, -0.003), (0.035, 0.021, 0.020), (0.0082, 0.0072, 0.0066), -9.0),
}
PALM = (
    Capsule((-0.016, 0.010, -0.002), (-0.025, 0.084, -0.002), 0.0130),
    Capsule((-0.006, 0.008, 0.0), (-0.006, 0.087, 0.0), 0.0135),
    Capsule((0.004, 0.008, 0.0), (0.013, 0.081, -0.001), 0.0130),
    Capsule((0.013, 0.010, -0.002), (0.028, 0.072, -0.004), 0.0120),
    Capsule((-0.014, 0.020, -0.006), (-0.024, 0.060, -0.008), 0.0110),  # ball of the thumb
)
FOREARM = (  # in short pieces, which a ray-caster can leave out one by one
    Capsule((-0.008, 0.004, -0.001), (-0.009, -0.06, -0.002), 0.0205),
    Capsule((0.010, 0.004, -0.001), (0.011, -0.06, -0.002), 0.0200),
    Capsule((-0.009, -0.06, -0.002), (-0.014, -0.16, -0.003), 0.0225),
    Capsule((0.011, -0.06, -0.002), (0.016, -0.16, -0.003), 0.0220),
    Capsule((-0.014, -0.16, -0.003), (-0.018, -0.30, -0.004), 0.0260),
    Capsule((0.016, -0.16, -0.003), (0.020, -0.30, -0.004), 0.0255),
)


@dataclass(frozen=True)
class Pose:
    """Angles in degrees, a number for each finger from thumb to little.

    ``flexion`` of the three joints from the palm outwards (0 is straight), ``spread`` sideways at the base.
    """

    flexion: tuple[Vector, Vector, Vector, Vector, Vector]
    spread: tuple[float, float, float, float, float]

    def joints(self) -> tuple[tuple[str, float], ...]:
        """By name, for the plan."""
        names = ("base", "middle", "distal")
        bends = [
            (f"{finger} {name} flexion", angle)
            for finger, angles in zip(FINGERS, self.flexion, strict=True)
            for name, angle in zip(names, angles, strict=True)
        ]
        return *bends, *((f"{finger} spread", angle) for finger, angle in zip(FINGERS, self.spread, strict=True))


def finger_joints(name: str, flexion: Vector, spread: float) -> Floats:
    """Base, middle, distal and tip [4, 3] of one finger.

    A finger bends towards the palm (-z) about the axis across it. The thumb's axis is turned, so that it closes over
    the palm.
    """
    finger = ANATOMY[name]
    frame = about("z", finger.heading + spread)
    if name == "thumb":
        frame = frame @ about("y", -55.0)  # its nail looks to the side
    points = [np.asarray(finger.base)]
    for length, angle in zip(finger.lengths, flexion, strict=True):
        frame = frame @ about("x", -angle)
        points.append(points[-1] + frame @ (0.0, length, 0.0))
    return np.stack(points)


def build(pose: Pose, scale: float, mirrored: bool) -> tuple[Capsules, Floats, tuple[float, ...]]:
    """Shape, keypoints [21, 3] and the radius of the flesh around each; ``mirrored`` makes a left hand."""
    size = scale * np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    parts = [*PALM, *FOREARM]
    points = [np.zeros((1, 3))]
    reach = [0.026]
    for name, flexion, spread in zip(FINGERS, pose.flexion, pose.spread, strict=True):
        joints = finger_joints(name, flexion, spread)
        radii = ANATOMY[name].radii
        parts += [Capsule(_vector(a), _vector(b), r) for a, b, r in zip(joints[:-1], joints[1:], radii, strict=True)]
        points.append(joints)
        reach += [1.6 * radii[0], 1.4 * radii[0], 1.4 * radii[1], 1.4 * radii[2]]
    shape = Capsules(
        tuple(Capsule(_vector(size * part.start), _vector(size * part.end), scale * part.radius) for part in parts)
    )
    return shape, np.concatenate(points) * size, tuple(scale * it for it in reach)


def _vector(point: NDArray[np.generic]) -> Vector:
    x, y, z = (float(it) for it in point)
    return x, y, z
