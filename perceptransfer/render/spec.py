"""Scene files: YAML to objects, with the file and the dotted key in every complaint."""

from __future__ import annotations

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError, PerceptransferError
from perceptransfer.render.distributions import SHORT, Distribution
from perceptransfer.render.optics import SensorRanges
from perceptransfer.render.scene import Scene

ROOMS = (
    "colours",
    "distributions",
    "hand_scene",
    "mesh_table",
    "optics",
    "rig_scene",
    "rotations",
    "surfaces",
    "table",
    "things",
)


def read_scene(path: Path, changes: Mapping[str, Any] | None = None) -> Scene:
    """The scene of a file; ``changes`` are values by dotted key, put in before anything is made.

    A class is written ``{class_path: Ball, init_args: {...}}``, by the short name of a class of this room or by
    import path; where only one class fits, its arguments alone will do.

    Raises:
        ConfigError: no such file, no YAML, or a key or value that does not fit; file and key are named.
    """
    tree = _tree(path)
    try:
        for key, value in (changes or {}).items():
            _put(tree, key, value)
        scene: Scene = _make(Scene, tree, "")
    except ConfigError as error:
        raise ConfigError(error.problem, where=error.where or path, key=error.key, remedy=error.remedy) from None
    return scene


def read_sensor(path: Path, changes: Mapping[str, Any] | None = None) -> SensorRanges:
    """The sensor of a scene file, without what else the scene needs; a file with nothing but ``sensor:`` will do.

    Of ``changes``, as for `read_scene`, those of the sensor count.

    Raises:
        ConfigError: no such file, no YAML, no sensor in it, or values that do not fit.
    """
    tree = _tree(path)
    inside = tree.get("init_args", tree) if isinstance(tree, dict) else None
    if not isinstance(inside, dict) or "sensor" not in inside:
        raise ConfigError("has no sensor", where=path, key="sensor", remedy="add one, `sensor: {}` is a perfect one")
    try:
        for key, value in (changes or {}).items():
            if key.split(".")[0] == "sensor":
                _put(tree, key, value)
        made: SensorRanges = _make(SensorRanges, inside["sensor"] or {}, "sensor")
    except ConfigError as error:
        raise ConfigError(error.problem, where=error.where or path, key=error.key, remedy=error.remedy) from None
    return made


def _tree(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"not a readable scene ({error})", where=path, remedy="give a YAML file like datasets/primitives/scene.yaml"
        ) from error


def _put(tree: Any, dotted: str, value: Any) -> None:
    place = tree
    *path, last = dotted.split(".")
    for name in path:
        place = place.get("init_args", place) if isinstance(place, dict) else None
        if not isinstance(place, dict) or name not in place:
            raise ConfigError("there is no such place in the file", key=dotted)
        place = place[name]
    inside = place.get("init_args", place) if isinstance(place, dict) else None
    if not isinstance(inside, dict):
        raise ConfigError("there is no such place in the file", key=dotted)
    inside[last] = value


def _build(hint: Any, data: Any, key: str) -> Any:
    """``data`` as an object of the type that a constructor asks for."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        if data is None and type(None) in inside:
            return None
        classes = [it for it in inside if isinstance(it, type) and issubclass(it, Configurable)]
        if classes and isinstance(data, Mapping):
            return _make(classes[0], data, key)
        rest = [it for it in inside if it is not type(None)]
        return _build(rest[0], data, key) if len(rest) == 1 else data
    if isinstance(hint, type) and issubclass(hint, Configurable):
        return _make(hint, data, key)
    if origin is dict and isinstance(data, Mapping):
        return {str(name): _build(inside[1], item, _join(key, name)) for name, item in data.items()}
    if origin is list and isinstance(data, list):
        return [_build(inside[0], item, _join(key, i)) for i, item in enumerate(data)]
    wanted = float if hint is float and isinstance(data, int) and not isinstance(data, bool) else (origin or hint)
    if (
        isinstance(wanted, type)
        and wanted is not float
        and (not isinstance(data, wanted) or (wanted is int and isinstance(data, bool)))
    ):
        raise ConfigError(f"needs {getattr(wanted, '__name__', wanted)}, got {data!r}", key=key)
    if hint is float and not isinstance(data, int | float):
        raise ConfigError(f"needs a number, got {data!r}", key=key)
    return data


def _make(base: type[Configurable], data: Any, key: str) -> Any:
    if not isinstance(data, Mapping):
        raise ConfigError(f"needs the arguments of a {base.__name__}, got {data!r}", key=key or None)
    if base is Distribution and len(data) == 1 and next(iter(data)) in SHORT:
        ((name, given),) = data.items()
        arguments = given if isinstance(given, Mapping) else _positional(SHORT[name], given, key)
        return _call(SHORT[name], arguments, key)
    if "class_path" in data:
        return _call(_find(str(data["class_path"]), base, key), data.get("init_args") or {}, key)
    if base.__subclasses__():
        names = ", ".join(sorted(known(base)))
        raise ConfigError(
            f"needs a class_path for one kind of {base.__name__}", key=key or None, remedy=f"such as {names}"
        )
    return _call(base, data, key)


def _positional(cls: type, given: Any, key: str) -> dict[str, Any]:
    names = list(inspect.signature(cls).parameters)
    if names[0] == "values":
        return {"values": given}
    values = given if isinstance(given, list) else [given]
    if len(values) > len(names):
        raise ConfigError(f"too many numbers: {given!r}", key=key, remedy=f"the numbers are {', '.join(names)}")
    return dict(zip(names, values, strict=False))


def known(base: type[Configurable]) -> dict[str, type[Configurable]]:
    """Classes of this room by short name that can stand for ``base``."""
    for room in ROOMS:
        importlib.import_module(f"{__package__}.{room}")
    found, below = {}, [base]
    while below:
        cls = below.pop()
        below += cls.__subclasses__()
        if cls.__module__.startswith(f"{__package__}.") and "__init__" in cls.__dict__:
            found[cls.__name__] = cls
    return found


def _find(name: str, base: type[Configurable], key: str) -> type[Configurable]:
    choices = known(base)
    if "." not in name:
        if name not in choices:
            _unknown(f"unknown {base.__name__} {name!r}", name, list(choices), _join(key, "class_path"))
        return choices[name]
    module, _, last = name.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), last)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"cannot import {name} ({error})", key=_join(key, "class_path"), remedy="put it on the import path"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ConfigError(f"{name} is no {base.__name__}", key=_join(key, "class_path"))
    return cls


def _call(cls: type[Configurable], arguments: Any, key: str) -> Any:
    if not isinstance(arguments, Mapping):
        raise ConfigError(f"needs the arguments of {cls.__name__}, got {arguments!r}", key=key or None)
    parameters = inspect.signature(cls).parameters
    hints = typing.get_type_hints(cls.__init__)
    for name in arguments:
        if name not in parameters:
            _unknown(f"{cls.__name__} has no argument {name!r}", str(name), list(parameters), _join(key, name))
    missing = [n for n, it in parameters.items() if it.default is inspect.Parameter.empty and n not in arguments]
    if missing:
        raise ConfigError(f"{cls.__name__} needs {', '.join(missing)}", key=_join(key, missing[0]))
    made = {name: _build(hints[name], item, _join(key, name)) for name, item in arguments.items()}
    try:
        return cls(**made)
    except PerceptransferError as error:
        if not isinstance(error, ConfigError):
            raise
        raise ConfigError(
            error.problem, where=error.where, key=_join(key, error.key or ""), remedy=error.remedy
        ) from None


def _join(key: str, name: object) -> str:
    return ".".join(part for part in (key, str(name)) if part)


def _unknown(problem: str, name: str, choices: list[str], key: str) -> NoReturn:
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.4) or choices[:6]
    raise ConfigError(problem, key=key, remedy=f"did you mean {', '.join(near)}?")
