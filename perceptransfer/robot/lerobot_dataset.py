"""Demonstrations as a LeRobotDataset (format 3.0), through lerobot's own writer; needs the extra ``lerobot``.

Pictures are kept as they are (PNG in parquet, no video). Of what a column is called here, LeRobot's policies see
``action``, ``observation.images.<name>`` for pictures, ``observation.state`` for ``proprio`` and ``observation.<name>``
for other observations. What only a simulator knows becomes ``simulator.state`` and ``simulator.states``: a policy made
from the data set's features would otherwise take it as input. Gate columns and others keep their names, with dots for
slashes. From names, shapes, masks and ``env_args`` in ``meta/perceptransfer.json`` `read_lerobot` restores all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perceptransfer.core.errors import DataError
from perceptransfer.core.extras import require
from perceptransfer.core.files import all_or_nothing
from perceptransfer.robot.demonstrations import (
    REMEDY,
    Array,
    Demonstration,
    DemonstrationFile,
    is_pictures,
    masks,
)

FORMAT, ABOUT, INFO = "v3.0", "meta/perceptransfer.json", "meta/info.json"
FEATURES = {
    "actions": "action",
    "rewards": "next.reward",
    "dones": "next.done",
    "states": "simulator.states",
    "obs/state": "simulator.state",
    "obs/proprio": "observation.state",
}


def write_lerobot(
    folder: Path, demos: Sequence[Demonstration], env_args: Mapping[str, Any], *, fps: int, valid: float = 0.1
) -> None:
    """Write episodes into a new folder; LeRobot's task is ``env_args["env_name"]``.

    ``fps`` is ticks a second. LeRobot knows no validation episodes: the masks are for `read_lerobot`.

    Raises:
        OutputError: the folder is there already or cannot be written.
        DataError: no episode, or episodes that do not have the same columns.
        MissingExtraError: lerobot is not installed.
    """
    require("lerobot", "lerobot")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.utils.utils import SuppressProgressBars

    tables = [demo.columns() for demo in demos]
    kinds = [{name: (column.dtype, column.shape[1:]) for name, column in table.items()} for table in tables]
    odd = [i for i, kind in enumerate(kinds) if kind != kinds[0]]
    if odd or not tables:
        problem = f"demonstration {odd[0]} has other columns than the first" if odd else "no demonstrations"
        raise DataError(problem, where=folder, key="demos", remedy="write them into data sets of their own")
    names = {name: _feature_name(name, is_pictures(column)) for name, column in tables[0].items()}
    features = {names[name]: _feature(name, column, env_args) for name, column in tables[0].items()}
    about = {
        "env_args": env_args,
        "columns": {name: {"feature": names[name], "shape": column.shape[1:]} for name, column in tables[0].items()},
        "masks": {mask: list(rows) for mask, rows in masks(len(demos), valid).items()},
    }
    with all_or_nothing(folder) as work, SuppressProgressBars():
        work.rmdir()  # LeRobot wants to make it
        dataset = LeRobotDataset.create(f"perceptransfer/{folder.name}", fps, features, root=work, use_videos=False)
        for table in tables:
            for tick in range(len(table["actions"])):
                frame = {names[name]: _value(name, column[tick]) for name, column in table.items()}
                dataset.add_frame({**frame, "task": str(env_args["env_name"])})
            dataset.save_episode()
        dataset.finalize()  # without it the parquet files have no footer
        (work / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def read_lerobot(folder: Path) -> DemonstrationFile:
    """Read and check what `write_lerobot` wrote.

    Raises:
        DataError: missing, cut short, of another format or writer, columns lost, or actions that are not finite.
        MissingExtraError: lerobot is not installed.
    """
    info = _json(folder / INFO, "codebase_version", "features", "total_frames", "total_episodes")
    about = _json(folder / ABOUT, "columns", "env_args", "masks")
    if info["codebase_version"] != FORMAT:
        problem = f"a LeRobotDataset {info['codebase_version']}, read is {FORMAT}"
        raise DataError(
            problem, where=folder / INFO, key="codebase_version", remedy="convert it with lerobot's scripts"
        )
    lost = [name for name, it in about["columns"].items() if it["feature"] not in info["features"]]
    if lost:
        problem = f"the columns {', '.join(lost)} are no longer there"
        raise DataError(problem, where=folder / INFO, key="features", remedy=REMEDY)
    episodes = _episodes(folder, info, about["columns"])
    demos = tuple(
        Demonstration.from_columns(columns, len(next(iter(columns.values()), ())), folder, f"episode {i}")
        for i, columns in enumerate(episodes)
    )
    return DemonstrationFile(demos, about["env_args"], {name: tuple(rows) for name, rows in about["masks"].items()})


def _episodes(folder: Path, info: Mapping[str, Any], columns: Mapping[str, Any]) -> list[dict[str, Array]]:
    """Columns of every episode by our names."""
    require("lerobot", "lerobot")
    from lerobot.datasets.utils import get_hf_features_from_features, load_nested_dataset

    features = {name: {**it, "shape": tuple(it["shape"])} for name, it in info["features"].items()}
    try:
        rows = load_nested_dataset(folder / "data", get_hf_features_from_features(features)).with_format(None)
        episode = np.array(rows["episode_index"][:])
        table = {name: _column(rows[it["feature"]], features[it["feature"]], it) for name, it in columns.items()}
    except Exception as error:  # its own, datasets', pyarrow's or Pillow's
        raise DataError(f"not a readable data set ({error})", where=folder / "data", remedy=REMEDY) from error
    found, announced = (len(episode), len(set(episode))), (info["total_frames"], info["total_episodes"])
    if found != announced:
        problem = f"{found[0]} ticks in {found[1]} episodes, {announced[0]} in {announced[1]} announced"
        raise DataError(problem, where=folder / INFO, key="total_frames", remedy=REMEDY)
    return [{name: column[episode == i] for name, column in table.items()} for i in range(announced[1])]


def _column(values: Iterable[Any], feature: Mapping[str, Any], ours: Mapping[str, Any]) -> Array:
    dtype = np.uint8 if feature["dtype"] == "image" else np.dtype(feature["dtype"])
    made = np.array([np.asarray(value, dtype) for value in values])  # a picture comes as Pillow's
    return made.reshape(len(made), *ours["shape"])  # LeRobot makes numbers of vectors of one


def _feature_name(column: str, pictures: bool) -> str:
    if column in FEATURES:
        return FEATURES[column]
    if column.startswith("obs/"):
        return f"observation.{'images.' if pictures else ''}{column.removeprefix('obs/').replace('/', '.')}"
    name = column.replace("/", ".")
    # Whatever begins like this is input or output of a policy made from the features.
    return f"recorded.{name}" if name.startswith(("action", "observation")) else name


def _feature(column: str, values: Array, env_args: Mapping[str, Any]) -> dict[str, Any]:
    if is_pictures(values):
        return {"dtype": "image", "shape": values.shape[1:], "names": ["height", "width", "channels"]}
    names = list(env_args["gate"]["constraints"]) if column.startswith("gate.g_") and "gate" in env_args else None
    return {"dtype": _value(column, values).dtype.name, "shape": values.shape[1:] or (1,), "names": names}


def _value(column: str, value: Any) -> Array:
    """At least a vector; the end of an episode is a bool."""
    made = np.atleast_1d(value)
    return made.astype(bool) if column == "dones" else made


def _json(path: Path, *keys: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in keys if key not in read]
    except (OSError, TypeError, ValueError) as error:
        raise DataError(
            f"no LeRobotDataset of this package, or a damaged one ({error})", where=path, remedy=REMEDY
        ) from error
    if missing:
        raise DataError(f"lacks {', '.join(missing)}", where=path, key=missing[0], remedy=REMEDY)
    return read
