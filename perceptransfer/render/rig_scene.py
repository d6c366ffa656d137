"""The rigged hand of a .blend file before a background, its fingers open or closed as the class says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import sha256_file
from perceptransfer.render.camera import matrix4
from perceptransfer.render.distributions import Number
from perceptransfer.render.draws import Draws, Ranges
from perceptransfer.render.hand_scene import Hand
from perceptransfer.render.optics import Crops, Lighting, SensorRanges, Viewpoint
from perceptransfer.render.plan import Body, Capsule, Capsules, Fit, Matrix4, RiggedHand, ScenePlan, View
from perceptransfer.render.surfaces import PICTURES, Backdrop, Surface

# Fingers along z, palm towards y and thumb towards -x in the model; fingers along y and back towards z in `hand`.
HAND_FROM_MODEL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
MIDDLE = (-0.02, 0.07, 0.0)  # of the joints, in the frame of `hand`
BONES = ("finger1.R", "finger2-1.R", "finger3-1.R", "finger4-1.R", "finger5-1.R")
FAN = (0.0, -1.0, -0.3, 0.4, 1.0)  # how far each finger goes aside when the hand is spread
# Depth of flesh before a joint: wrist, then base, middle, distal joint and tip of each finger.
REACH = (0.024, *(0.02, 0.017, 0.015, 0.012), *(0.019, 0.014, 0.012, 0.01) * 4)
CUFF = Capsule((0.0, 0.0, -0.09), (0.0, 0.004, -0.16), 0.046)
ARM = Capsule((0.0, 0.004, -0.16), (0.0, 0.01, -0.7), 0.055)


class RigFingers(Ranges):
    """How far the fingers of the model bend, in degrees; all three joints of a finger share its angle."""

    def __init__(
        self,
        open_deg: Number = (-4.0, 14.0),
        closed_deg: Number = (66.0, 86.0),
        open_thumb_deg: Number = (-4.0, 14.0),
        closed_thumb_deg: Number = (42.0, 58.0),
        spread_deg: Number = (-3.0, 10.0),
        thumb_spread_deg: Number = (-10.0, 10.0),
    ) -> None:
        self._numbers(
            open_deg=open_deg, closed_deg=closed_deg, open_thumb_deg=open_thumb_deg, closed_thumb_deg=closed_thumb_deg,
            spread_deg=spread_deg, thumb_spread_deg=thumb_spread_deg,
        )  # fmt: skip

    def angles(self, draws: Draws, state: str) -> tuple[tuple[str, float], ...]:
        """Of the bones, for a finger state such as 01100: thumb to little, 1 is open."""
        spread = self.draw("spread_deg", draws)
        found: list[tuple[str, float]] = []
        for number, (bone, bit) in enumerate(zip(BONES, state, strict=True)):
            own, how = draws.under(bone), "open" if bit == "1" else "closed"
            kind = f"{how}_thumb_deg" if number == 0 else f"{how}_deg"
            aside = self.draw("thumb_spread_deg", own) if number == 0 else spread * FAN[number]
            found.append((f"{bone}.x", self.draw(kind, own)))
            found.append((f"{bone}.z", aside if bit == "1" else 0.2 * aside))
        return tuple(found)


class RigHand(Hand):
    """`Hand` with the model ``model`` (a .blend file with its picture beside it); only Blender draws it.

    The picture is cut around the posed joints. ``sleeve_share`` of the arms wear a sleeve, which counts as hand.

    Raises:
        DataError: the model is missing.
    """

    NOT_IDENTITY = frozenset({"model"})

    def __init__(
        self,
        model: str,
        classes: dict[str, list[str]],
        viewpoint: Viewpoint,
        crops: Crops,
        bones: RigFingers | None = None,
        skin: Surface | None = None,
        sleeve: Surface | None = None,
        sleeve_share: float = 0.5,
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
        licence: str = "unknown",
    ) -> None:
        path = Path(model).expanduser()
        if not path.is_file():
            raise DataError("no such model of a hand", where=path, key="model", remedy="--set+ model=FILE.blend")
        super().__init__(
            classes, viewpoint, crops, None, skin or Surface(patterns=["plain"]), scale, palm_share, left_share,
            turn_deg, pitch_deg, roll_deg, backdrop, lighting, sensor, origin, licence,
        )  # fmt: skip
        self._numbers(**self.ranges, sleeve_share=sleeve_share)
        self.model, self.bones, self.sleeve = str(path), bones or RigFingers(), sleeve or Surface()

    def identity_extra(self) -> Mapping[str, Any]:
        """Contents of the model and of the pictures beside it, which are its skin."""
        path = Path(self.model)
        beside = (it for it in sorted(path.parent.iterdir()) if it.suffix.lower() in PICTURES)
        return {"model": sha256_file(path), "skin": [[it.name, sha256_file(it)] for it in beside]}

    def compose(self, draws: Draws, seed: int, index: int, attempt: int) -> ScenePlan:
        label = self.classes[index % len(self.classes)]
        states = self.states[label]
        state = states[int(draws.rng("state").integers(len(states)))]
        left = bool(draws.rng("left").random() < self.draw("left_share", draws))
        camera = self.viewpoint.sample(draws.under("camera"))
        place = matrix4(np.asarray(self._place(draws, camera.world_from_camera, MIDDLE)) @ HAND_FROM_MODEL)
        scale = self.draw("scale", draws)
        hand = Body(
            "hand", 1, RiggedHand(self.model, left), place, self.skin.sample(draws.under("skin")), "hand", scale,
            reach=tuple(scale * it for it in REACH), joints=self.bones.angles(draws.under("fingers"), state),
        )  # fmt: skip
        width, height = self.crops.size
        crop = draws.under("crop")
        shift = (self.crops.draw("shift", crop.under("x")), self.crops.draw("shift", crop.under("y")))
        view = View(
            index, label, replace(camera, width=width, height=height), self.sensor.sample(draws.under("sensor")), 1,
            self.crops.min_visible, Fit(self.crops.draw("margin", crop), shift), draws.seed("render"),
        )  # fmt: skip
        bodies = (hand, *self._sleeve(draws, place, scale))
        lights = self.lighting.sample(draws.under("lights"))
        return ScenePlan(index, seed, bodies, (view,), lights, self.backdrop.sample(draws.under("background")), attempt)

    def _sleeve(self, draws: Draws, place: Matrix4, scale: float) -> tuple[Body, ...]:
        if draws.rng("sleeve").random() >= self.draw("sleeve_share", draws):
            return ()
        return (
            Body("sleeve", 2, Capsules((CUFF, ARM)), place, self.sleeve.sample(draws.under("cloth")), "hand", scale),
        )
