"""A table whose objects are the meshes of one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import DataError
from perceptransfer.render.distributions import Number
from perceptransfer.render.optics import Crops, Lighting, SensorRanges, Viewpoint
from perceptransfer.render.rotations import Rotations
from perceptransfer.render.surfaces import Backdrop, Surface
from perceptransfer.render.table import Table
from perceptransfer.render.things import MeshThing, Thing


class MeshFile(Configurable):
    """Arguments of `MeshThing`, the path relative to the folder of the meshes."""

    NOT_IDENTITY = frozenset({"path"})

    def __init__(
        self,
        path: str,
        unit_m: float = 0.001,
        points: int = 8,
        half_turn_axes: str = "",
        vertex_colours: bool = True,
        surface: Surface | None = None,
    ) -> None:
        self.path, self.surface = path, surface
        self.numbers = {"unit_m": unit_m, "points": points}
        self.half_turn_axes, self.vertex_colours = half_turn_axes, vertex_colours

    def thing(self, folder: Path) -> MeshThing:
        """The mesh itself."""
        return MeshThing(
            str(folder / self.path), float(self.numbers["unit_m"]), int(self.numbers["points"]), self.half_turn_axes,
            self.vertex_colours, self.surface,
        )  # fmt: skip


class MeshTable(Table):
    """`Table` with ``objects`` from PLY files below ``models``; the other arguments are those of `Table`.

    Raises:
        DataError: the folder or a mesh is missing, a mesh is empty or has no vertex colours.
    """

    NOT_IDENTITY = frozenset({"models"})

    def __init__(
        self,
        models: str,
        objects: dict[str, MeshFile],
        viewpoint: Viewpoint,
        crops: Crops,
        rotation: Rotations | None = None,
        spread_m: Number = (0.1, 0.25),
        closeness: Number = 0.0,
        distractors: dict[str, Thing] | None = None,
        distractor_count: Number = 0.0,
        table: Surface | None = None,
        table_m: float = 3.0,
        backdrop: Backdrop | None = None,
        lighting: Lighting | None = None,
        sensor: SensorRanges | None = None,
        origin: str = "rendered",
        licence: str = "unknown",
        rotations: dict[str, Rotations] | None = None,
    ) -> None:
        folder = Path(models).expanduser()
        if not folder.is_dir():
            raise DataError("no such folder of meshes", where=folder, key="models", remedy="--set+ models=FOLDER")
        things: dict[str, Thing] = {name: file.thing(folder) for name, file in objects.items()}
        super().__init__(
            things, viewpoint, crops, rotation, spread_m, closeness, distractors, distractor_count, table, table_m,
            backdrop, lighting, sensor, origin, licence, rotations,
        )  # fmt: skip

    def identity_extra(self) -> Mapping[str, Any]:
        """Contents of the meshes, wherever they lie."""
        return {name: dict(thing.identity_extra()) for name, thing in self.objects.items()}
