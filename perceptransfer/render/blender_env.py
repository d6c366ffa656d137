"""What runs Blender: a Python or a Blender that is named, or an environment that is made on first use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perceptransfer.core.errors import RenderError
from perceptransfer.core.files import output_errors, write_atomic

VARIABLE = "PERCEPTRANSFER_BLENDER_PYTHON"
WORKER = Path(__file__).parent / "blender" / "worker.py"
REQUIREMENTS = WORKER.parent / "requirements.txt"
PYTHON = "3.11"  # the only version that the pinned bpy has wheels for
OLDEST = (4, 2)  # Blender's own interface; BlenderProc 2.8 is made for 4.2


@dataclass(frozen=True)
class Launch:
    """Command that starts the worker, and a folder of packages for a Blender that has none of them."""

    command: list[str]
    packages: str | None = None


def launch(given: str | None = None) -> Launch:
    """How to start the worker: with a Python that has bpy, or inside a Blender.

    Raises:
        RenderError: it is not there, cannot be made, or is too old; the remedy names both ways out.
    """
    path = interpreter(given)
    version = blender_version(path)
    if version is None:
        return Launch([str(path), str(WORKER)])
    if version < OLDEST:
        raise RenderError(
            f"is Blender {version[0]}.{version[1]}, at least {OLDEST[0]}.{OLDEST[1]} is needed",
            where=path,
            remedy=remedy(),
        )
    return inside(path)


def inside(blender: Path) -> Launch:
    """How to start the worker inside a Blender; packages that it lacks are installed beside it on first use."""
    said = _ask([str(blender), "--background", "--factory-startup", "--python-expr", "import sys; print(sys.version)"])
    found = re.search(r"^(3\.\d+)\.\d+", said, re.MULTILINE)
    if found is None:
        raise RenderError("does not tell the version of its Python", where=blender, remedy=remedy())
    folder = cache_folder().with_name(f"{cache_folder().name}-packages-{found[1]}")
    _complete(folder, lambda: _install(folder, found[1]))
    command = [str(blender), "--background", "--factory-startup", "--python", str(WORKER), "--"]
    return Launch(command, str(folder))


def blender_version(path: Path) -> tuple[int, int] | None:
    """Version of a Blender; None for any other program."""
    found = re.search(r"^Blender (\d+)\.(\d+)", _ask([str(path), "--version"]), re.MULTILINE)
    return None if found is None else (int(found[1]), int(found[2]))


def remedy() -> str:
    """What to do on a machine that cannot make the environment itself."""
    return (
        f"where there is a network: python{PYTHON} -m venv DIR && DIR/bin/pip install -r {REQUIREMENTS}; then set "
        f"{VARIABLE}=DIR/bin/python or give --blender-python, either of which may also name a Blender from "
        f"{OLDEST[0]}.{OLDEST[1]} on (BlenderProc keeps one in ~/blender). Or draw without Blender: --engine raycast"
    )


def interpreter(given: str | None = None) -> Path:
    """The program to start the worker with: ``given``, the environment variable, or our own environment.

    Raises:
        RenderError: it is not there and cannot be made; the remedy names both ways out.
    """
    named = given or os.environ.get(VARIABLE)
    if named is None:
        return _own()
    path = Path(named).expanduser()
    if not os.access(path, os.X_OK) or path.is_dir():
        key = "--blender-python" if given else VARIABLE
        raise RenderError("is no program", where=path, key=key, remedy=remedy())
    return path


def cache_folder() -> Path:
    """Where our own environment lives; other requirements live elsewhere."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return Path(base) / "perceptransfer" / f"blender-{digest}"


def _own() -> Path:
    folder = cache_folder()
    python = folder / "bin" / "python"
    _complete(folder, lambda: _make(folder, python))
    return python


def _complete(folder: Path, make: Callable[[], None]) -> None:
    """Have ``make`` fill the folder, once, whoever else wants it at the same time."""
    complete = folder / "complete"
    if complete.exists():
        return
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_suffix(".lock")):
        if not complete.exists():  # nobody else has made it meanwhile
            make()
            write_atomic(complete, "written last: without this file the folder is made anew\n")


def _make(folder: Path, python: Path) -> None:
    print(f"making the environment for Blender in {folder} (1.5 GB, a minute or two) ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    _run([_base_python(), "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)])


def _install(folder: Path, python: str) -> None:
    print(f"installing what Blender lacks in {folder} (0.5 GB) ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wanted = folder / "requirements.txt"
    lines = REQUIREMENTS.read_text().splitlines()
    wanted.write_text("\n".join(line for line in lines if not line.startswith("bpy")) + "\n")
    options = ["--target", str(folder), "--python-version", python, "--only-binary", ":all:", "-r", str(wanted)]
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options])


def _ask(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RenderError(f"does not start ({error})", where=command[0], remedy=remedy()) from error


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
