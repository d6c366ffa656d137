"""Draws plans with BlenderProc in a process of its own; this side never imports it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ImageError
from perceptransfer.core.files import output_errors
from perceptransfer.render import codec
from perceptransfer.render.blender_env import launch
from perceptransfer.render.blender_process import BlenderProcess, WorkerLostError, start
from perceptransfer.render.camera import crop_around, transform
from perceptransfer.render.executor import Rendered
from perceptransfer.render.exr import read_exr
from perceptransfer.render.paint import behind, tile
from perceptransfer.render.plan import Body, Camera, ScenePlan, View

LARGEST_TILE = 512  # pixels along an edge
NOTHING = 1e9  # metres; Blender writes 1e10 where no body is seen


class BlenderProc(Configurable):
    """Path-traced pictures.

    Args:
        python: a Python with `bpy` and `blenderproc`, or a Blender; None: the environment variable, or our own
            environment.
        samples: light paths a pixel.
        bounces: reflections that a path may take.
        recycle: scenes after which the process is replaced; it grows a little with each.
        limit_s: how long one picture may take.
    """

    NOT_IDENTITY = frozenset({"python", "recycle", "limit_s"})

    def __init__(
        self, python: str | None = None, samples: int = 16, bounces: int = 2, recycle: int = 1000, limit_s: float = 600
    ) -> None:
        self.python, self.samples, self.bounces = python, samples, bounces
        self.recycle, self.limit_s = recycle, limit_s
        self.process: BlenderProcess | None = None
        self.folder: Path | None = None
        self.scenes = 0
        self.draw_s = self.draw_cpu_s = 0.0  # what Blender took for all pictures, without their labels

    def render(self, plan: ScenePlan) -> Iterator[Rendered]:
        """All views of the plan.

        Raises:
            RenderError: no Blender on this machine.
            DataError: the plan cannot be drawn.
            OutputError: the place of the files between the processes is full.
            WorkerLostError: the process died; the next call starts another one.
        """
        process, folder = self._ready()
        self.scenes += 1
        tiles = {}
        for body in plan.bodies:
            texture = body.material.texture
            if not body.material.vertex_colours and (texture.kind != "plain" or texture.image is not None):
                tiles[body.instance] = str(folder / f"tile{body.instance}.npy")
                with output_errors(folder):
                    np.save(tiles[body.instance], _small(tile(body.material.colour, texture)))
        scene = dataclasses.replace(plan, views=())
        answer = process.ask(plan=json.loads(codec.to_json(scene)), tiles=tiles)
        joints = {int(number): np.array(points) for number, points in answer["keypoints"].items()}
        for view in plan.views:
            yield self._shoot(process, folder, plan, view, joints)

    def close(self) -> None:
        """End the process and remove its files."""
        if self.process is not None:
            self.process.kill()
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _ready(self) -> tuple[BlenderProcess, Path]:
        if self.process is not None and (self.process.process.poll() is not None or self.scenes >= self.recycle):
            self.close()
        if self.process is None or self.folder is None:
            self.close()
            memory = Path("/dev/shm")
            place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
            self.folder = Path(tempfile.mkdtemp(prefix="perceptransfer-blender-", dir=place))
            settings = {"samples": self.samples, "bounces": self.bounces, "folder": str(self.folder)}
            try:
                self.process = start(launch(self.python), settings, self.folder / "log.txt", limit_s=self.limit_s)
            except BaseException:
                self.close()
                raise
            self.scenes = 0
        return self.process, self.folder

    def _shoot(
        self, process: BlenderProcess, folder: Path, plan: ScenePlan, view: View, joints: dict[int, NDArray[np.float64]]
    ) -> Rendered:
        camera = _fitted(plan, view, joints)
        request = {"camera": dataclasses.asdict(camera), "seed": view.seed}
        answer = process.ask(view=request)
        self.draw_s += answer["draw_s"]
        self.draw_cpu_s += answer["draw_cpu_s"]
        try:
            colours, labels = (_layers(read_exr(folder / name)) for name in ("colours.exr", "labels.exr"))
        except (ImageError, OSError) as error:
            self.close()
            raise WorkerLostError(f"the Blender worker left no whole picture: {error}") from error
        seen = labels["Depth.V"] < NOTHING
        instances = np.where(seen, labels["IndexOB.X"], 0).round().astype(np.uint16)
        normals = np.stack([labels[f"Normal.{axis}"] for axis in "XYZ"], axis=-1)
        rotation = np.asarray(camera.world_from_camera)[:3, :3].astype(np.float32)
        radiance = np.stack([colours[f"Combined.{part}"] for part in "RGB"], axis=-1)
        radiance += (1 - colours["Combined.A"])[..., None] * behind(plan.background, camera)
        return Rendered(
            sample=view.sample,
            radiance=radiance.astype(np.float32),
            instances=instances,
            depth=np.where(seen, labels["Depth.V"], 0).astype(np.float32),
            normals=np.where(seen[..., None], normals @ rotation, 0).astype(np.float32),
            visible={
                int(number): min(1.0, int((instances == int(number)).sum()) / outline)
                for number, outline in answer["outlines"].items()
                if outline
            },
            camera=camera if view.fit is not None else None,
            keypoints=joints,
        )


def _small(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture itself, or every n-th pixel of a photo: more than that is not seen on an object."""
    step = -(-max(picture.shape[:2]) // LARGEST_TILE)
    return np.ascontiguousarray(picture[::step, ::step])


def _layers(channels: dict[str, Any]) -> dict[str, Any]:
    """Channels without the name of the view layer; Blender calls depth Z or V."""
    short = {name.split(".", 1)[1]: values for name, values in channels.items()}
    return {("Depth.V" if name == "Depth.Z" else name): values for name, values in short.items()}


def _fitted(plan: ScenePlan, view: View, joints: dict[int, NDArray[np.float64]]) -> Camera:
    """The view's camera, cropped around its target if it asks for that."""
    if view.fit is None or view.target is None:
        return view.camera
    body = next(body for body in plan.bodies if body.instance == view.target)
    points = transform(_place(body), joints.get(view.target, np.array(body.keypoints)))
    return crop_around(view.camera, points, view.fit.margin, view.fit.shift, (view.camera.width, view.camera.height))


def _place(body: Body) -> NDArray[np.float64]:
    """world_from_object with the body's scale in it."""
    place = np.array(body.world_from_object)
    place[:3, :3] *= body.scale
    return place
