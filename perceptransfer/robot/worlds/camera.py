"""The camera of a world: paints the scene as an appearance says and takes pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np

from perceptransfer.render.patterns import texture
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.gl import context
from perceptransfer.robot.look import OBJECTS, Appearance
from perceptransfer.robot.sensor import expose
from perceptransfer.robot.variables import TEXTURED
from perceptransfer.robot.worlds.model import CAMERA_FOCUS, CAMERA_POSITION, REACH

SHAPES = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_ELLIPSOID)
CLEAR = 0.075  # m between a distractor and what the task is about
_PAINTED = (("arm", "link", ""), ("arm", "joint", "2"), ("tip", "tip", ""), ("target", "target", ""))


class Camera:
    """Draws ``uint8 [size, size, 3]`` of one model; ``close`` it before the program ends.

    The model's visual fields are overwritten, so a model belongs to one camera.

    Raises:
        RenderError: no OpenGL without a display on this machine.
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        self.model, self.size = model, size
        self._gl: Any = context(size)
        self._context: Any = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, 200)
        self._option, self._view = mujoco.MjvOption(), mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        self._rect = mujoco.MjrRect(0, 0, size, size)
        self._appearance: Appearance | None = None
        self._noise = np.random.default_rng(0)

    def dress(self, appearance: Appearance, keep_clear: Sequence[Floats]) -> None:
        """Paint the scene; distractors keep away from the points ``keep_clear`` (x, y in m)."""
        self._gl.make_current()
        draw = appearance.values
        for i, name in enumerate(TEXTURED):
            first, second = _rgb(draw, name), _rgb(draw, name, "2")
            pattern = texture(appearance.textures[name], first, second, appearance.rng(f"{name}.texture"))
            item = self.model.texture(name)
            start = int(item.adr[0])
            self.model.tex_data[start : start + pattern.size] = pattern.ravel()
            mujoco.mjr_uploadTexture(self.model, self._context, item.id)
            self.model.mat_texrepeat[self.model.material(TEXTURED[i]).id] = draw[f"{name}.scale"]
        for section, material, second_colour in (*_PAINTED, ("puck", "puck", "")):
            item = self.model.material(material)
            item.rgba[:3] = _rgb(draw, section, second_colour)
            item.specular[:] = draw["arm.shine"] if section == "arm" else 0.1
        light_scene(self.model, draw)
        place_camera(self.model, draw)
        self._scatter(appearance, keep_clear)
        self._appearance, self._noise = appearance, appearance.rng("sensor.noise")

    def picture(self, data: mujoco.MjData) -> Pixels:
        """What the sensor delivers of this state."""
        assert self._appearance is not None  # a world dresses its camera at every reset
        return expose(self._shot(data), self._appearance.values, self._noise)

    def segmentation(self, data: mujoco.MjData) -> Pixels:
        """Index of the geom in every pixel plus one, 0 where there is none, ``uint8 [size, size]``."""
        flags = self._scene.flags
        for flag, on in ((mujoco.mjtRndFlag.mjRND_SEGMENT, 1), (mujoco.mjtRndFlag.mjRND_IDCOLOR, 1)):
            flags[flag] = on
        coded = self._shot(data)[..., 0]
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            flags[flag] = 0
        table = np.zeros(256, np.uint8)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            table[geom.segid + 1] = geom.objid + 1
        return np.asarray(table[coded], dtype=np.uint8)

    def close(self) -> None:
        """Give the graphics memory back; a second call does nothing."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def _shot(self, data: mujoco.MjData) -> Pixels:
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self.model, data, self._option, None, self._view, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        mujoco.mjr_render(self._rect, self._scene, self._context)
        image = np.empty((self.size, self.size, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._rect, self._context)
        return image[::-1]

    def _scatter(self, appearance: Appearance, keep_clear: Sequence[Floats]) -> None:
        rng = appearance.rng("distractors.places")
        taken = [np.zeros(2), *keep_clear]
        for i in range(OBJECTS):
            geom = self.model.geom(f"object{i}")
            geom.pos[:] = (0, 0, -1)
            if i >= len(appearance.objects):
                continue
            own = appearance.objects[i]
            half, height = own["distractors.size"], own["distractors.height"]
            kind, turn = SHAPES[rng.integers(len(SHAPES))], rng.uniform(0, np.pi)
            spots = np.column_stack([rng.uniform(-0.15, REACH + 0.1, 50), rng.uniform(-0.42, 0.42, 50)])
            free = [spot for spot in spots if min(np.hypot(*(spot - other)) for other in taken) > CLEAR + half - 0.025]
            if not free:
                continue
            taken.append(free[0])
            self.model.geom_type[geom.id] = kind
            geom.size[:] = (half, height, height) if kind == SHAPES[1] else (half, half * rng.uniform(0.5, 1), height)
            geom.pos[:] = (*free[0], height)
            geom.quat[:] = (np.cos(turn / 2), 0, 0, np.sin(turn / 2))
            geom.rgba[:3] = _rgb(own, "distractors")


def _rgb(draw: Mapping[str, float], section: str, second: str = "") -> Floats:
    hue, saturation, value = (draw[f"{section}.{name}{second}"] for name in ("hue", "saturation", "value"))
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def light_scene(model: mujoco.MjModel, draw: Mapping[str, float]) -> None:
    """Set both lights from the ``light.*`` values."""
    azimuth, elevation = np.deg2rad(draw["light.azimuth"]), np.deg2rad(draw["light.elevation"])
    down = -np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    colour = 1 + draw["light.warmth"] * np.array([0.15, 0.0, -0.25])
    for name, direction, strength in (("main", down, "intensity"), ("fill", down * (-1, -1, 1), "fill")):
        light = model.light(name)
        light.dir[:] = direction
        light.pos[:] = np.array([0.2, 0.0, 0.0]) - 1.5 * direction
        light.diffuse[:] = draw[f"light.{strength}"] * colour
        light.specular[:] = 0.4 * draw[f"light.{strength}"]
        light.ambient[:] = draw["light.ambient"] * colour if name == "main" else 0.0
    model.light("main").castshadow[:] = draw["light.shadow"] > 0.5


def place_camera(model: mujoco.MjModel, draw: Mapping[str, float]) -> None:
    """Set the camera's pose and field of view from the ``camera.*`` values."""
    place, focus = np.array(CAMERA_POSITION), np.array(CAMERA_FOCUS)
    back = (place - focus) / np.linalg.norm(place - focus)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right)
    axes = np.column_stack([right, np.cross(back, right), back])
    pan, tilt, roll = (np.deg2rad(draw[f"camera.{name}"]) for name in ("pan", "tilt", "roll"))
    frame = _turn(2, pan) @ axes @ _turn(0, tilt) @ _turn(2, roll)
    camera = model.camera("camera")
    camera.pos[:] = place + [draw[f"camera.{name}"] for name in ("dx", "dy", "dz")]
    mujoco.mju_mat2Quat(camera.quat, frame.ravel())
    camera.fovy[:] = draw["camera.fov"]


def _turn(axis: int, angle: float) -> Floats:
    """Rotation about a coordinate axis."""
    turned = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turned[[i, j], [i, j]] = np.cos(angle)
    turned[i, j], turned[j, i] = -np.sin(angle), np.sin(angle)
    return turned


def project(model: mujoco.MjModel, data: mujoco.MjData, points: Floats, size: int) -> Floats:
    """Pixel (column, row) of points ``[n, 3]`` in m; whole numbers are pixel centres, ``[n, 2]``."""
    seen = (points - data.cam_xpos[0]) @ data.cam_xmat[0].reshape(3, 3)
    focal = size / 2 / np.tan(np.deg2rad(model.cam_fovy[0]) / 2)
    pixels = np.column_stack([seen[:, 0], -seen[:, 1]]) / -seen[:, 2:] * focal + (size - 1) / 2
    return np.asarray(pixels, dtype=np.float64)
