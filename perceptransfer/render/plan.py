"""What is to be drawn, down to the last number: frozen, hashable, and the same on every machine.

A plan knows no renderer. Metres, world z up, cameras as in OpenCV (x right, y down, z forward, pixel centres at
integers), colours linear RGB in 0..1. `codec.to_json` and `codec.from_json` are inverse to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Vector = tuple[float, float, float]
Colour = tuple[float, float, float]
Matrix3 = tuple[Vector, Vector, Vector]
Row4 = tuple[float, float, float, float]
Matrix4 = tuple[Row4, Row4, Row4, Row4]
"""A rigid transform by rows; ``a_from_b`` takes coordinates of b to those of a."""

IDENTITY: Matrix4 = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Sphere:
    """Around the origin; radius in metres."""

    radius: float


@dataclass(frozen=True)
class Box:
    """Around the origin; full edge lengths in metres."""

    size: Vector


@dataclass(frozen=True)
class Cylinder:
    """Around the origin along z, closed by discs; metres."""

    radius: float
    height: float


@dataclass(frozen=True)
class Capsule:
    """Two points in the object's frame and the radius around the segment between them; metres."""

    start: Vector
    end: Vector
    radius: float


@dataclass(frozen=True)
class Capsules:
    """Union of capsules, such as the bones of a hand, posed in the object's frame."""

    parts: tuple[Capsule, ...]


@dataclass(frozen=True)
class Plane:
    """Part of the plane z = 0 around the origin, seen from both sides; edge lengths in metres."""

    size: tuple[float, float]


@dataclass(frozen=True)
class Mesh:
    """A PLY file in the units given by ``unit`` (metres per file unit)."""

    path: str
    unit: float = 1.0


@dataclass(frozen=True)
class RiggedHand:
    """A .blend file with an armature, posed by the body's joints; only Blender draws it."""

    path: str
    mirrored: bool = False


Shape = Sphere | Box | Cylinder | Capsule | Capsules | Plane | Mesh | RiggedHand


@dataclass(frozen=True)
class Texture:
    """A procedural pattern between the surface's colour and ``second_colour``, or a picture file.

    ``kind`` is a name of `patterns.PATTERNS`; ``scale`` is the size of its features in metres (for a background: in
    heights of the picture). An ``image`` takes the pattern's place; behind a picture ``scale`` is the share of it seen.
    """

    kind: str = "plain"
    scale: float = 0.05
    second_colour: Colour = (0.5, 0.5, 0.5)
    seed: int = 0
    image: str | None = None


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    ``hue`` (turns), ``saturation``, ``value`` (factors) and ``gamma`` (exponent) change the colours that come from a
    mesh's vertices or a rigged model's own picture, and nothing else.
    """

    colour: Colour = (0.5, 0.5, 0.5)
    roughness: float = 0.5
    specular: float = 0.5
    texture: Texture = Texture()
    vertex_colours: bool = False
    hue: float = 0.0
    saturation: float = 1.0
    value: float = 1.0
    gamma: float = 1.0


@dataclass(frozen=True)
class Body:
    """One thing in the scene.

    ``instance`` is its number in the instance mask, 0 for what that mask leaves out (a table); ``category`` its
    class, or None for what is background to the labels (table, distractors). ``keypoints`` are points in the object's
    frame; they are left out where only the renderer knows them (`RiggedHand`). ``reach`` says, for each keypoint in
    metres, how far before it the surface seen at its pixel may lie for it to count as visible (a joint lies inside);
    if empty, 5 mm. ``symmetries`` are the object_from_object motions besides the identity that leave its looks
    unchanged; ``joints`` are angles in degrees.
    """

    name: str
    instance: int
    shape: Shape
    world_from_object: Matrix4
    material: Material = Material()
    category: str | None = None
    scale: float = 1.0
    keypoints: tuple[Vector, ...] = ()
    reach: tuple[float, ...] = ()
    symmetries: tuple[Matrix4, ...] = ()
    joints: tuple[tuple[str, float], ...] = ()
    distractor: bool = False


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; the camera of a crop has the same place and ``K_crop = A K``."""

    K: Matrix3
    width: int
    height: int
    world_from_camera: Matrix4


@dataclass(frozen=True)
class Light:
    """A light of ``kind`` point, area, sun or world.

    ``energy`` is a power in watts (point, area), an irradiance in W/m² (sun) or a radiance (world). Point: radiant
    intensity energy / 4π; area: a square of edge ``size`` (metres) towards ``direction``, radiance energy / π size².
    """

    kind: str
    energy: float
    colour: Colour = (1.0, 1.0, 1.0)
    position: Vector = (0.0, 0.0, 1.0)
    direction: Vector = (0.0, 0.0, -1.0)
    size: float = 0.0


@dataclass(frozen=True)
class Background:
    """What a camera sees where it meets no body: a pattern or picture fixed to the picture's frame, not to the world.

    A surface of this brightness; it casts no light (that is the light ``world``).
    """

    colour: Colour = (0.5, 0.5, 0.5)
    texture: Texture = Texture()


@dataclass(frozen=True)
class Sensor:
    """What happens between the light at the lens and the stored picture, applied in this order by `sensor.develop`.

    Blurs in pixels (Gaussian sigma; length and direction of a straight movement), exposure in stops, gains of red,
    green and blue, noise as standard deviations at signal 1 (shot, grows with the root of the signal) and 0 (read),
    then sRGB with a further exponent ``gamma``, contrast around mid-grey, hue in turns, saturation as a factor, and
    JPEG compression where a quality is given.
    """

    blur_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    exposure_stops: float = 0.0
    white_balance: Colour = (1.0, 1.0, 1.0)
    shot_noise: float = 0.0
    read_noise: float = 0.0
    gamma: float = 1.0
    contrast: float = 1.0
    hue: float = 0.0
    saturation: float = 1.0
    jpeg_quality: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Fit:
    """Crop the view's camera around the keypoints of its target, known only when the renderer has posed it.

    `camera.crop_around` does it: ``margin`` is the factor on the points' box, ``shift`` a displacement in box sizes.
    """

    margin: float
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class View:
    """One picture of the scene, and so one sample of the set.

    ``sample`` is its number in the set, ``target`` the instance that its label, keypoints and crop are about (None:
    the whole scene). If less than ``min_visible`` of the target is seen the scene is drawn again with the seed of the
    next attempt. ``seed`` is the renderer's own.
    """

    sample: int
    label: str
    camera: Camera
    sensor: Sensor = Sensor()
    target: int | None = None
    min_visible: float = 0.0
    fit: Fit | None = None
    seed: int = 0


@dataclass(frozen=True)
class ScenePlan:
    """A scene with all its views; it depends on the specification, ``seed``, ``index`` and ``attempt`` alone."""

    index: int
    seed: int
    bodies: tuple[Body, ...]
    views: tuple[View, ...]
    lights: tuple[Light, ...] = ()
    background: Background = Background()
    attempt: int = 0

    def only(self, *samples: int) -> ScenePlan:
        """The same scene with the views of these samples; a view's picture does not depend on the others."""
        return replace(self, views=tuple(view for view in self.views if view.sample in samples))
