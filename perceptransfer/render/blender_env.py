"""The Python that runs Blender: one that is named, or an environment that is made on first use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from perceptransfer.core.errors import RenderError
from perceptransfer.core.files import output_errors, write_atomic

VARIABLE = "PERCEPTRANSFER_BLENDER_PYTHON"
REQUIREMENTS = Path(__file__).parent / "blender" / "requirements.txt"
PYTHON = "3.11"  # the only version that the pinned bpy has wheels for


def remedy() -> str:
    """What to do on a machine that cannot make the environment itself."""
    return (
        f"where there is a network: python{PYTHON} -m venv DIR && DIR/bin/pip install -r {REQUIREMENTS}; then set "
        f"{VARIABLE}=DIR/bin/python or give --blender-python. Or draw without Blender: --engine raycast"
    )


def interpreter(given: str | None = None) -> Path:
    """The Python to start the worker with: ``given``, the environment variable, or our own environment.

    Raises:
        RenderError: it is not there and cannot be made; the remedy names both ways out.
    """
    named = given or os.environ.get(VARIABLE)
    if named is None:
        return _own()
    path = Path(named).expanduser()
    if not os.access(path, os.X_OK) or path.is_dir():
        key = "--blender-python" if given else VARIABLE
        raise RenderError("is no Python interpreter", where=path, key=key, remedy=remedy())
    return path


def cache_folder() -> Path:
    """Where our own environment lives; other requirements live elsewhere."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return Path(base) / "perceptransfer" / f"blender-{digest}"


def _own() -> Path:
    folder = cache_folder()
    complete, python = folder / "complete", folder / "bin" / "python"
    if not complete.exists():
        with output_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_suffix(".lock")):
            if not complete.exists():  # nobody else has made it meanwhile
                _make(folder, python)
                write_atomic(complete, "written last: without this file the environment is made anew\n")
    return python


def _make(folder: Path, python: Path) -> None:
    print(f"making the environment for Blender in {folder} (1.5 GB, a minute or two) ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    _run([_base_python(), "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)])


def _base_python() -> str:
    if sys.version_info[:2] == tuple(int(part) for part in PYTHON.split(".")):
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    if found is None:
        raise RenderError(f"Blender's package needs Python {PYTHON}, which is not installed", remedy=remedy())
    return found


def _run(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        tail = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise RenderError(f"cannot make the environment for Blender:\n  {tail}", remedy=remedy())


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process at a time, and given back by the system when that one dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
