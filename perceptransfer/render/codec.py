"""Plans as JSON: one text for one plan."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from perceptransfer.core.errors import DataError
from perceptransfer.render import plan as plans

SHAPES: dict[str, type] = {shape.__name__: shape for shape in typing.get_args(plans.Shape)}


def to_json(plan: plans.ScenePlan) -> str:
    """One line of canonical JSON; floats survive exactly."""
    return json.dumps(_encode(plan), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> plans.ScenePlan:
    """Inverse of `to_json`.

    Raises:
        DataError: no JSON, or not the plan of this version.
    """
    try:
        plan: plans.ScenePlan = _decode(plans.ScenePlan, json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"not a scene plan ({type(error).__name__}: {error})", remedy="write it with the same version"
        ) from error
    return plan


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        data = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"shape": type(value).__name__, **data} if type(value).__name__ in SHAPES else data
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _decode(kind: Any, data: Any) -> Any:
    if kind == plans.Shape:
        return _fields(SHAPES[data["shape"]], data)
    if dataclasses.is_dataclass(kind):
        return _fields(kind, data)
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if inside[-1] is Ellipsis:
            return tuple(_decode(inside[0], item) for item in data)
        return tuple(_decode(one, item) for one, item in zip(inside, data, strict=True))
    if origin is types.UnionType:  # X | None
        return None if data is None else _decode(inside[0], data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    return data


def _fields(kind: Any, data: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    return kind(**{name: _decode(hints[name], item) for name, item in data.items() if name != "shape" or name in hints})
