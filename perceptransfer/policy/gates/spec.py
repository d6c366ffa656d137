"""Gate files: constraints declared in YAML, every number with its unit."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.action import ACTIONS, Action
from perceptransfer.policy.gates.constraint import KINDS, Constraint
from perceptransfer.policy.gates.evidence import CHANNELS
from perceptransfer.policy.gates.gate import Gate
from perceptransfer.policy.gates.units import parse_quantity
from perceptransfer.policy.gates.yaml_file import read_yaml

FORMAT = 1


def read_gate(path: Path | str) -> Gate:
    """The gate that a YAML file declares (``configs/gates`` has examples).

    Raises:
        GateError: naming file, key and remedy: a file that cannot be read, an unknown constraint or key, a key given
            twice, a missing or wrong unit, a limit that leaves no room.
    """
    return gate_from(read_yaml(Path(path)), where=str(path))


def gate_from(declared: Any, where: str | None = None) -> Gate:
    """The gate of an already parsed declaration; ``where`` is named in errors."""
    top = _mapping(declared, where, "gate")
    _keys(top, {"gate", "action", "sensors", "constraints"}, {"tool_axes"}, where, "")
    if top["gate"] != FORMAT:
        raise GateError(
            f"gate format {top['gate']!r}, this version reads {FORMAT}", where=where, key="gate", remedy="write gate: 1"
        )
    sensors = _mapping(top["sensors"], where, "sensors")
    _keys(sensors, {"max_age"}, {"max_lead"}, where, "sensors.")
    times = {key: parse_quantity(value, "time", where=where, key=f"sensors.{key}") for key, value in sensors.items()}
    action: Action = _made(ACTIONS, top["action"], where, "action")
    constraints: dict[str, Constraint] = {
        str(name): _made(_with_users(KINDS, item), item, where, f"constraints.{name}")
        for name, item in _mapping(top["constraints"], where, "constraints").items()
    }
    try:
        return Gate(action, constraints, tool_axes=_axes(top, where), **times)
    except GateError as error:
        raise GateError(error.problem, where=where, key=error.key, remedy=error.remedy) from None


def _axes(top: Mapping[str, Any], where: str | None) -> int:
    axes = top.get("tool_axes", 3)
    if axes not in (2, 3) or isinstance(axes, bool | float):
        raise GateError(f"{axes!r} axes", where=where, key="tool_axes", remedy="use 2 or 3")
    return int(axes)


def _made(kinds: Mapping[str, type[Any]], item: Any, where: str | None, key: str) -> Any:
    """An object of the named kind, its arguments converted to SI units."""
    arguments = dict(_mapping(item, where, key))
    kind = str(arguments.pop("kind", None))
    if kind not in kinds:
        raise GateError(f"unknown kind {kind!r}", where=where, key=f"{key}.kind", remedy=_suggest(kind, kinds))
    cls = kinds[kind]
    parameters = inspect.signature(cls).parameters.values()
    required = {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}
    _keys(arguments, required, {parameter.name for parameter in parameters}, where, f"{key}.")
    for name, value in arguments.items():
        place = f"{key}.{name}"
        dimension = cls.quantities.get(name)
        if dimension is not None:
            many = isinstance(value, list)
            numbers = [parse_quantity(v, dimension, where=where, key=place) for v in (value if many else [value])]
            arguments[name] = numbers if many else numbers[0]
        elif name == "clip" and not isinstance(value, bool):
            raise GateError(f"{value!r} is neither true nor false", where=where, key=place, remedy="use true or false")
    try:
        return cls(**arguments)
    except GateError as error:
        place = f"{key}.{error.key}" if error.key else key
        raise GateError(error.problem, where=where, key=place, remedy=error.remedy) from None
    except (TypeError, ValueError) as error:
        remedy = "give lists where there is one number per joint or axis, and single numbers elsewhere"
        raise GateError(f"cannot make {kind}: {error}", where=where, key=key, remedy=remedy) from error


def _with_users(kinds: Mapping[str, type[Constraint]], item: Any) -> Mapping[str, type[Constraint]]:
    """The built-in kinds and, if an import path is named, the user's class of that path."""
    path = str(item.get("kind", "")) if isinstance(item, Mapping) else ""
    module, _, name = path.rpartition(".")
    if not module:
        return kinds
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return kinds  # ends as an unknown kind, with its place in the file
    good = isinstance(cls, type) and issubclass(cls, Constraint) and set(cls.channels) <= CHANNELS.keys()
    return {**kinds, path: cls} if good else kinds


def _mapping(value: Any, where: str | None, key: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping) or not value:
        raise GateError("not a mapping, or empty", where=where, key=key, remedy="see the examples in configs/gates")
    return value


def _keys(given: Mapping[Any, Any], required: set[str], optional: set[str], where: str | None, prefix: str) -> None:
    for key in given:
        if key not in required | optional:
            remedy = _suggest(str(key), required | optional)
            raise GateError("unknown key", where=where, key=f"{prefix}{key}", remedy=remedy)
    for key in sorted(required - given.keys()):
        raise GateError("missing", where=where, key=f"{prefix}{key}", remedy=f"add {key}")


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(known))}"
