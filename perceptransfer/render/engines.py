"""Renderers by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, cast

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
    if name not in ENGINES and "." not in name:
        near = difflib.get_close_matches(name, ENGINES, n=1) or list(ENGINES)
        raise ConfigError(f"unknown engine {name!r}", key="engine", remedy=f"did you mean {near[0]}?")
    module, _, cls = ENGINES.get(name, name).rpartition(".")
    try:
        return cast(Executor, getattr(importlib.import_module(module), cls)(**options))
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"cannot make engine {name!r}: {error}", key="engine", remedy="check its import path and options"
        ) from error
