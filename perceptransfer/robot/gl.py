"""How images are drawn without a display: EGL where it works, else OSMesa."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import subprocess
import sys
from typing import Any

from perceptransfer.core.errors import RenderError

BACKENDS = ("cgl",) if sys.platform == "darwin" else ("egl", "osmesa")
_PROBE = "import importlib; importlib.import_module('mujoco.{name}').GLContext(8, 8).make_current()"
REMEDY = "apt-get install libegl1 libgl1-mesa-dri (EGL), or libosmesa6 (OSMesa)"


def works(name: str) -> bool:
    """Whether a backend draws here, tried in a process of its own: a failed attempt spoils the one that made it."""
    env = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    code = _PROBE.format(name=name)
    run = subprocess.run([sys.executable, "-c", code], env={**env, "MUJOCO_GL": name}, capture_output=True)
    return run.returncode == 0


@functools.cache
def backend() -> str:
    """Name of the backend: what ``MUJOCO_GL`` says, or the first that works, which worker processes then inherit.

    Raises:
        RenderError: ``MUJOCO_GL`` names no backend without a display, or none works.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted and wanted not in BACKENDS:
        raise RenderError(
            f"MUJOCO_GL is {wanted!r}, which needs a display", key="MUJOCO_GL", remedy="unset it, or set egl or osmesa"
        )
    for name in [wanted] if wanted else BACKENDS:
        if wanted or works(name):
            os.environ["MUJOCO_GL"] = name
            return name
    raise RenderError("neither EGL nor OSMesa draws here", remedy=REMEDY)


def context(size: int) -> Any:
    """A current OpenGL context for pictures of ``size`` pixels; its maker calls ``free``.

    Raises:
        RenderError: the backend cannot make one.
    """
    # torch's optimisers load triton, and loading it after Mesa crashes the process; before, it does no harm.
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
    name = backend()
    try:
        made = importlib.import_module(f"mujoco.{name}").GLContext(size, size)
        made.make_current()
    except Exception as error:  # ImportError, AttributeError, RuntimeError or GLError, by what is missing
        raise RenderError(
            f"{name} makes no context ({type(error).__name__}: {error})", key="MUJOCO_GL", remedy=REMEDY
        ) from error
    return made
