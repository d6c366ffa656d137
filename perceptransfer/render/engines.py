"""Renderers by name."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, cast

from perceptransfer.core.config import identity_of
from perceptransfer.core.errors import ConfigError
from perceptransfer.render.executor import Executor

ENGINES = {
    "raycast": "perceptransfer.render.raycast.Raycaster",
    "blenderproc": "perceptransfer.render.blenderproc.BlenderProc",
}


def make_engine(name: str, options: Mapping[str, Any]) -> Executor:
    """The renderer of a name, or of an import path of the user's own.

    Raises:
        ConfigError: there is no such renderer, or an option that it does not have.
    """
    with _errors(name):
        return cast(Executor, _find(name)(**options))


def engine_identity(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What pictures depend on: the renderer and its options, defaults included, without its ``NOT_IDENTITY``.

    Raises:
        ConfigError: there is no such renderer, or an option that it does not have.
    """
    with _errors(name):
        cls = _find(name)
        given = inspect.signature(cls).bind(**options)
    given.apply_defaults()
    skip = getattr(cls, "NOT_IDENTITY", frozenset[str]())
    options = {key: identity_of(item) for key, item in given.arguments.items() if key not in skip}
    return {"engine": name, "options": options}


def _find(name: str) -> Any:
    if name not in ENGINES and "." not in name:
        near = difflib.get_close_matches(name, ENGINES, n=1) or list(ENGINES)
        raise ConfigError(f"unknown engine {name!r}", key="engine", remedy=f"did you mean {near[0]}?")
    module, _, cls = ENGINES.get(name, name).rpartition(".")
    return getattr(importlib.import_module(module), cls)


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"cannot make engine {name!r}: {error}", key="engine", remedy="check its import path and options"
        ) from error
