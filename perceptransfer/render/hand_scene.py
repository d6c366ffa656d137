"""The hand of capsules before a background, its fingers open or closed as the class says."""

from __future__ import annotations

import numpy as np

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.camera import matrix4, transform
from perceptransfer.render.colours import Palette
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.hand import FINGERS, KEYPOINT_NAMES, Pose, build
from perceptransfer.render.optics import Crops, Lighting, SensorRanges, Viewpoint
from perceptransfer.render.plan import Body, Matrix4, ScenePlan, Vector, View
from perceptransfer.render.rotations import about
from perceptransfer.render.scene import Scene
from perceptransfer.render.surfaces import Backdrop, Surface

SKIN = ["#f1c9a5", "#e0ac69", "#c68642", "#8d5524", "#5a3825"]


class Fingers(Ranges):
    """How far open and closed fingers bend, and how far they spread, in degrees.

    The last joint follows the one before it by ``coupling`` (about 2/3 in people), as its tendon does.
    """

    def __init__(
        self,
        open_base_deg: Number = (-5.0, 22.0),
        open_middle_deg: Number = (0.0, 22.0),
        closed_base_deg: Number = (62.0, 90.0),
        closed_middle_deg: Number = (82.0, 108.0),
        open_thumb_deg: Number = (-8.0, 12.0),
        closed_thumb_deg: Number = (54.0, 72.0),
        spread_deg: Number = (0.0, 9.0),
        open_thumb_spread_deg: Number = (-6.0, 18.0),
        closed_thumb_spread_deg: Number = (-22.0, -8.0),
        coupling: Number = (0.5, 0.75),
    ) -> None:
        self._numbers(
            open_base_deg=open_base_deg, open_middle_deg=open_middle_deg, closed_base_deg=closed_base_deg,
            closed_middle_deg=closed_middle_deg, open_thumb_deg=open_thumb_deg, closed_thumb_deg=closed_thumb_deg,
            spread_deg=spread_deg, open_thumb_spread_deg=open_thumb_spread_deg,
            closed_thumb_spread_deg=closed_thumb_spread_deg, coupling=coupling,
        )  # fmt: skip

    def sample(self, draws: Draws, state: str) -> Pose:
        """A pose of a finger state such as 01100: thumb to little, 1 is open."""
        spread = self.draw("spread_deg", draws)
        flexion, aside = [], []
        for i, (name, bit) in enumerate(zip(FINGERS, state, strict=True)):
            own, how = draws.under(name), "open" if bit == "1" else "closed"
            if name == "thumb":
                bend = self.draw(f"{how}_thumb_deg", own)
                flexion.append((0.45 * bend, bend, 0.9 * bend))
                aside.append(self.draw(f"{how}_thumb_spread_deg", own))
                continue
            middle = self.draw(f"{how}_middle_deg", own)
            flexion.append((self.draw(f"{how}_base_deg", own), middle, self.draw("coupling", own) * middle))
            aside.append((2 - i) * spread * (1.0 if bit == "1" else 0.2))  # closed fingers lie side by side
        thumb, index, third, ring, little = flexion
        a, b, c, d, e = aside
        return Pose((thumb, index, third, ring, little), (a, b, c, d, e))


class Hand(Scene):
    """One hand with its forearm.

    ``classes`` maps a class to the finger states that belong to it, thumb to little, 1 is open: ``{"2": ["01100"]}``.
    Sample k has class ``k % number of classes``. ``palm_share`` of the pictures show the palm, the rest the back,
    each turned by ``turn_deg`` about the fingers' direction, ``pitch_deg`` towards the camera and ``roll_deg`` in the
    picture (0: fingers up, 90: to the left). ``left_share`` are left hands.
    """

    def __init__(
        self,
        classes: dict[str, list[str]],
        viewpoint: Viewpoint,
        crops: Crops,
        fingers: Fingers | None = None,
        skin: Surface | None = None,
        scale: Number = (0.85, 1.1),
        palm_share: float = 0.5,
        left_share: float = 0.5,
        turn_deg: Number = (-35.0, 35.0),
        pitch_deg: Number = (-30.0, 30.0),
        roll_deg: Number = (-25.0, 25.0),
        backdrop: Backdrop | None = None,
        lighting: Lighting | None = None,
        sensor: SensorRanges | None = None,
        origin: str = "rendered",
        licence: str = "CC0-1.0",
    ) -> None:
        self._numbers(
            scale=scale, palm_share=palm_share, left_share=left_share, turn_deg=turn_deg, pitch_deg=pitch_deg,
            roll_deg=roll_deg,
        )  # fmt: skip
        self._positive("scale")
        self.states = {name: list(states) for name, states in classes.items()}
        for name, states in self.states.items():
            if not states or any(len(state) != 5 or set(state) - {"0", "1"} for state in states):
                raise ConfigError(
                    f"{states!r} are no finger states",
                    key=f"classes.{name}",
                    remedy="write such as ['01100'], in quotes",
                )
        if not self.states:
            raise ConfigError("no classes", key="classes", remedy="name at least one")
        self.fingers = fingers or Fingers()
        self.skin = skin or Surface(Palette(SKIN, (0.8, 1.1)), patterns=["plain"])
        self.viewpoint, self.crops = viewpoint, crops
        self.backdrop, self.lighting = backdrop or Backdrop(), lighting or Lighting()
        self.sensor = sensor or SensorRanges()
        self.classes, self.mask_classes = tuple(self.states), ("hand",)
        self.keypoint_names, self.keypoint_flip = KEYPOINT_NAMES, tuple(range(len(KEYPOINT_NAMES)))
        self.views_per_scene = 1
        self.origin, self.licence = origin, licence

    def compose(self, draws: Draws, seed: int, index: int, attempt: int) -> ScenePlan:
        label = self.classes[index % len(self.classes)]
        states = self.states[label]
        state = states[int(draws.rng("state").integers(len(states)))]
        pose = self.fingers.sample(draws.under("fingers"), state)
        left = bool(draws.rng("left").random() < self.draw("left_share", draws))
        shape, points, reach = build(pose, self.draw("scale", draws), left)
        keypoints = tuple((float(x), float(y), float(z)) for x, y, z in points)
        camera = self.viewpoint.sample(draws.under("camera"))
        place = self._place(draws, camera.world_from_camera, points.mean(0))
        body = Body(
            "hand", 1, shape, place, self.skin.sample(draws.under("skin")), "hand", keypoints=keypoints, reach=reach,
            joints=(("state", float(int(state, 2))), *pose.joints()),
        )  # fmt: skip
        picture = self.crops.sample(draws.under("crop"), camera, transform(place, points))
        sensor = self.sensor.sample(draws.under("sensor"))
        view = View(index, label, picture, sensor, 1, self.crops.min_visible, seed=draws.seed("render"))
        lights = self.lighting.sample(draws.under("lights"))
        background = self.backdrop.sample(draws.under("background"))
        return ScenePlan(index, seed, (body,), (view,), lights, background, attempt)

    def _place(self, draws: Draws, world_from_camera: Matrix4, middle: Vector) -> Matrix4:
        """world_from_object: the joints' middle at the origin, turned as seen by the camera."""
        # In the camera's frame: fingers up is -y, the back of the hand looks to the camera along -z.
        facing = np.diag([1.0, -1.0, -1.0])
        if draws.rng("palm").random() < self.draw("palm_share", draws):
            facing = facing @ about("y", 180.0)
        turned = (
            about("z", -self.draw("roll_deg", draws))
            @ about("x", self.draw("pitch_deg", draws))
            @ facing
            @ about("y", self.draw("turn_deg", draws))
        )
        pose = np.eye(4)
        pose[:3, :3] = np.asarray(world_from_camera)[:3, :3] @ turned
        pose[:3, 3] = -pose[:3, :3] @ np.asarray(middle)
        return matrix4(pose)
