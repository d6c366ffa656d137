"""Imports BlenderProc under a Python that has `bpy` as a package instead of a Blender that runs it.

BlenderProc 2.8.0 wants to be started by its own command, strips the installed packages from the path and downloads
Blender. Four steps undo that.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from typing import Any


def import_blenderproc() -> Any:
    """The module ``blenderproc``, ready, with an empty scene and Cycles on the processor."""
    os.environ["INSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT"] = "1"
    path = list(sys.path)
    if importlib.util.find_spec("bpy") is not None:
        _disarm_setup(path)
    import blenderproc

    sys.path[:] = path
    _start(blenderproc)
    return blenderproc


def _disarm_setup(path: list[str]) -> None:
    """Put in place a ``SetupUtility`` that neither runs pip nor strips the path."""
    spec = importlib.util.find_spec("blenderproc")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'blenderproc'")
    home = spec.submodule_search_locations[0]
    # Parents without their __init__, which would already run the set-up.
    stubs = {
        "blenderproc": home,
        "blenderproc.python": os.path.join(home, "python"),
        "blenderproc.python.utility": os.path.join(home, "python", "utility"),
    }
    for name, folder in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [folder]
    setup = importlib.import_module("blenderproc.python.utility.SetupUtility").SetupUtility

    def restore_path(*_: object, **__: object) -> None:
        sys.path[:] = path  # blenderproc's __init__ has just taken its own folder off

    setup.setup = staticmethod(restore_path)
    for name in stubs:
        del sys.modules[name]


def _start(blenderproc: Any) -> None:
    """What `blenderproc.init` does, less the choice of a language that the `bpy` wheel does not have."""
    import bpy
    from blenderproc.python.utility.GlobalStorage import GlobalStorage
    from blenderproc.python.utility.Initializer import _Initializer

    blenderproc.clean_up(clean_up_camera=True)
    bpy.context.scene.render.engine = "CYCLES"
    _Initializer.set_default_parameters()
    GlobalStorage.add("bproc_init_complete", True)
