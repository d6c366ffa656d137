"""Demonstrations in a file: robomimic's HDF5 layout (0.3.0), written whole and read with suspicion.

``data`` has the attributes ``total`` and ``env_args`` (JSON) and one group ``demo_<i>`` an episode, which has the
attribute ``num_samples`` and the data sets ``obs/<name>``, ``actions``, ``rewards``, ``dones``, ``states``, all with
as many rows as samples. ``mask/train`` and ``mask/valid`` name episodes. Any further data set of an episode is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import output_errors

Array = NDArray[Any]
COLUMNS = ("actions", "rewards", "dones", "states")
REMEDY = "record the demonstrations again, or restore them from a copy"


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One episode of T ticks.

    ``obs`` maps names to ``[T, ...]``: what was seen before each action. ``actions`` ``[T, A]``, ``rewards`` ``[T]``,
    ``dones`` ``[T]`` (1 where the episode ended), ``states`` ``[T, S]``; ``extra`` holds further columns ``[T, ...]``,
    by a name that may contain slashes.
    """

    obs: Mapping[str, Array]
    actions: Array
    rewards: Array
    dones: Array
    states: Array
    extra: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    def columns(self) -> dict[str, Array]:
        """Everything by name, observations as ``obs/<name>``.

        Raises:
            DataError: columns that differ in length.
        """
        made = {f"obs/{name}": column for name, column in self.obs.items()}
        made |= {name: getattr(self, name) for name in COLUMNS} | dict(self.extra)
        for name, column in made.items():
            if len(column) != len(self):
                raise DataError(f"{len(column)} rows for {len(self)} actions", key=name)
        return made

    @classmethod
    def from_columns(cls, columns: Mapping[str, Array], rows: int, where: Path, key: str) -> Demonstration:
        """Inverse of `columns`, for what was read.

        Raises:
            DataError: columns are missing or do not have ``rows`` rows, or actions are not finite.
        """
        missing = [name for name in COLUMNS if name not in columns]
        obs = {name.removeprefix("obs/"): column for name, column in columns.items() if name.startswith("obs/")}
        if missing or not obs:
            raise DataError(f"lacks {', '.join(missing or ['obs'])}", where=where, key=key, remedy=REMEDY)
        for name, column in columns.items():
            if not column.ndim or len(column) != rows:
                problem = f"{column.shape} does not have {rows} rows"
                raise DataError(problem, where=where, key=f"{key}/{name}", remedy=REMEDY)
        if columns["actions"].ndim != 2 or not np.isfinite(columns["actions"]).all():
            raise DataError("actions must be finite, [T, A]", where=where, key=f"{key}/actions", remedy=REMEDY)
        # The observation after each action, which some writers add, follows from obs.
        others = [name for name in columns if not name.startswith(("obs/", "next_obs/")) and name not in COLUMNS]
        main = {name: columns[name] for name in COLUMNS}
        return cls(obs, **main, extra={name: columns[name] for name in others})


@dataclass(frozen=True, eq=False)
class DemonstrationFile:
    """What a file holds: episodes in order, ``env_args`` as they were given, and which episodes each mask names."""

    demos: tuple[Demonstration, ...]
    env_args: Mapping[str, Any]
    masks: Mapping[str, tuple[int, ...]]

    def part(self, mask: str) -> tuple[Demonstration, ...]:
        """Episodes of ``train`` or ``valid``.

        Raises:
            DataError: the file has no such mask.
        """
        if mask not in self.masks:
            raise DataError(f"no mask {mask!r}", key=f"mask/{mask}", remedy=f"the file has {sorted(self.masks)}")
        return tuple(self.demos[i] for i in self.masks[mask])


def write_demonstrations(
    path: Path, demos: Sequence[Demonstration], env_args: Mapping[str, Any], *, valid: float = 0.1
) -> None:
    """Write episodes; the last ``valid`` share of them (see `masks`) is masked for validation.

    ``env_args`` is plain data with ``env_name``, ``type`` and ``env_kwargs``, as robomimic reads it.

    Raises:
        OutputError: the folder cannot be written.
        DataError: an episode whose columns differ in length.
    """
    partial = path.with_name(f".{path.name}.partial")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with h5py.File(partial, "w") as file:
                data = file.create_group("data")
                data.attrs["total"] = sum(map(len, demos))
                data.attrs["env_args"] = json.dumps(env_args)
                for i, demo in enumerate(demos):
                    _write_one(data.create_group(f"demo_{i}"), demo)
                for mask, rows in masks(len(demos), valid).items():
                    names = np.array([f"demo_{i}" for i in rows], dtype="S16")
                    file.create_dataset(f"mask/{mask}", data=names)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _write_one(group: Any, demo: Demonstration) -> None:
    group.attrs["num_samples"] = len(demo)
    for name, column in demo.columns().items():
        packed = {"compression": "gzip", "compression_opts": 1} if is_pictures(column) else {}
        group.create_dataset(name, data=column, **packed)


def is_pictures(column: Array) -> bool:
    """Whether a column is ``uint8 [T, H, W, 3]``."""
    return column.dtype == np.uint8 and column.ndim == 4


def masks(count: int, valid: float) -> dict[str, range]:
    """Which of ``count`` episodes are for training and, the last share of them (rounded), for validation."""
    train = count - round(valid * count)
    return {"train": range(train), "valid": range(train, count)}


def read_demonstrations(path: Path) -> DemonstrationFile:
    """Read and check a whole file.

    Raises:
        DataError: missing, cut short, not in this layout, columns of unequal length, or actions that are not finite.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"not a readable file of demonstrations ({error})", where=path, remedy=REMEDY) from error


def _read(file: Any, path: Path) -> DemonstrationFile:
    if "data" not in file or "env_args" not in file["data"].attrs:
        raise DataError("no group data with env_args", where=path, key="data", remedy=REMEDY)
    data = file["data"]
    names = sorted((name for name in data), key=lambda name: int(name.rpartition("_")[2]))
    demos = [_read_one(data[name], path) for name in names]
    total = int(data.attrs["total"])
    if not demos or sum(map(len, demos)) != total:
        raise DataError(
            f"{sum(map(len, demos))} samples in {len(demos)} episodes, {total} announced",
            where=path, key="data.total", remedy=REMEDY,
        )  # fmt: skip
    named = {}
    for mask in file.get("mask", {}):
        members = [item.decode() if isinstance(item, bytes) else str(item) for item in file["mask"][mask][:]]
        unknown = sorted(set(members) - set(names))
        if unknown:
            raise DataError(f"names episodes that are not there: {unknown}", where=path, key=f"mask/{mask}")
        named[mask] = tuple(names.index(name) for name in members)
    return DemonstrationFile(tuple(demos), json.loads(data.attrs["env_args"]), named)


def _read_one(group: Any, path: Path) -> Demonstration:
    columns: dict[str, Array] = {}
    group.visititems(lambda name, item: columns.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return Demonstration.from_columns(columns, int(group.attrs["num_samples"]), path, group.name.lstrip("/"))
