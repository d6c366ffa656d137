"""The floors of the house: a room imports rooms on lower floors only, inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "perceptransfer"

FLOORS = {
    "cli": 8,
    "benchmark": 7,
    "pipeline": 6,
    "stages": 5,
    "robot": 5,
    "learning": 4,
    "tasks": 3,
    "data": 3,
    "deploy": 3,
    "alignment": 2,
    "metrics": 2,
    "weighting": 2,
    "models": 1,
    "render": 1,
    "policy": 1,
    "core": 0,
}

# What a room must not import although its floor would allow it; a name is a room or an installed package.
# That only pipeline, benchmark and cli reach the Store, and core reaches no room, follows from the floors.
NEVER = {
    "policy": {"lightning", "pytorch_lightning", "timm", "albumentations"},
    "metrics": {"lightning", "pytorch_lightning", "models"},
    "data": {"models", "alignment"},
    "tasks": {"alignment", "weighting"},
    "weighting": {"lightning", "pytorch_lightning", "models"},
}
NEVER_ANYWHERE = {"blenderproc", "bpy"}
# Blender's Python runs these files on its own: GPL code stays in another process.
STAND_ALONE = "render/blender/"
FACADE_ALLOWS = {"__version__"}


class Import(NamedTuple):
    """A dotted module, the name taken from it if any, and the line."""

    module: str
    name: str | None
    line: int


def imports_of(path: Path, package: str) -> Iterator[Import]:
    """Every import statement of a file and every ``import_module("literal")``, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (Import(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield Import(node.args[0].value, None, node.lineno)


def violations(root: Path) -> list[str]:
    """One line for each import of the package at ``root`` that breaks the floors."""
    found = []
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        room = inside.parts[0].removesuffix(".py")
        if inside.as_posix() == "__init__.py" or inside.as_posix().startswith(STAND_ALONE):
            continue  # the top-level file only names the rooms where public names live
        if room not in FLOORS:
            found.append(f"{inside}: room {room!r} has no floor in the table")
            continue
        package = ".".join([root.name, *inside.parts[:-1]])
        for item in imports_of(path, package):
            reason = _verdict(room, item, root.name)
            if reason:
                found.append(f"{inside}:{item.line}: {room} {reason}")
    return found


def _verdict(room: str, item: Import, package: str) -> str | None:
    top, *rest = item.module.split(".")
    if top != package:
        banned = NEVER.get(room, set()) | NEVER_ANYWHERE
        return f"must never import {top}" if top in banned else None
    target = rest[0] if rest else item.name
    if target == room or (not rest and target in FACADE_ALLOWS):
        return None
    if target not in FLOORS:
        return f"imports {target or 'the whole package'} through the top-level module instead of its room"
    if target in NEVER.get(room, set()):
        return f"must never import {target}"
    if FLOORS[target] >= FLOORS[room]:
        return f"(floor {FLOORS[room]}) imports {target} (floor {FLOORS[target]})"
    return None


def test_every_import_goes_down() -> None:
    assert len(list(PACKAGE.rglob("*.py"))) > 20, "the check looks at the wrong folder"
    assert violations(PACKAGE) == []


def test_nothing_but_python_files_and_rooms_in_the_package() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= FLOORS.keys()


def house(root: Path, name: str, source: str) -> Path:
    """A package of one file."""
    package = root / "perceptransfer"
    path = package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return package


@pytest.mark.parametrize(
    ("where", "source", "complaint"),
    [
        ("core/x.py", "import perceptransfer.models", "core (floor 0) imports models (floor 1)"),
        ("core/x.py", "from perceptransfer.cli import main", "imports cli"),
        ("models/x.py", "from perceptransfer import data", "imports data (floor 3)"),
        ("models/x.py", "def f():\n    from perceptransfer.learning.a import b", "imports learning"),
        (
            "models/x.py",
            "class A:\n    def f(self):\n        if 1:\n            import perceptransfer.tasks as t",
            "tasks",
        ),
        ("metrics/x.py", "from ..pipeline.store import Store", "imports pipeline"),
        ("metrics/x.py", "from .. import stages", "imports stages"),
        ("metrics/deep/x.py", "from ...stages import Align", "imports stages"),
        ("alignment/x.py", "import importlib\nimportlib.import_module('perceptransfer.data')", "imports data"),
        ("alignment/x.py", "__import__('perceptransfer.tasks.base')", "imports tasks"),
        (
            "alignment/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import perceptransfer.stages",
            "stages",
        ),
        ("tasks/x.py", "from perceptransfer.data import Domain", "tasks (floor 3) imports data (floor 3)"),
        ("robot/x.py", "from perceptransfer.pipeline import Store", "imports pipeline"),
        ("data/x.py", "from perceptransfer.models import Encoder", "data must never import models"),
        ("data/x.py", "from perceptransfer.alignment import MMD", "data must never import alignment"),
        ("tasks/x.py", "import perceptransfer.alignment.mmd", "tasks must never import alignment"),
        ("metrics/x.py", "import lightning.pytorch as pl", "metrics must never import lightning"),
        ("metrics/x.py", "from perceptransfer import models", "metrics must never import models"),
        ("policy/x.py", "def f():\n    import timm", "policy must never import timm"),
        ("policy/x.py", "from albumentations import Compose", "policy must never import albumentations"),
        ("cli.py", "import bpy", "cli must never import bpy"),
        ("stages/x.py", "import perceptransfer as pt\npt.Store", "through the top-level module"),
        ("stages/x.py", "from perceptransfer import Store", "through the top-level module"),
        ("helpers/x.py", "", "room 'helpers' has no floor"),
        ("utils.py", "", "room 'utils' has no floor"),
    ],
)
def test_a_violation_is_found(tmp_path: Path, where: str, source: str, complaint: str) -> None:
    (found,) = violations(house(tmp_path, where, source))
    assert complaint in found


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("cli.py", "def f():\n    from perceptransfer.benchmark import RealFractionBenchmark"),
        ("benchmark/x.py", "from perceptransfer import pipeline, core"),
        (
            "data/x.py",
            "from . import y\nfrom .y import z\nfrom ..core.errors import DataError\nimport perceptransfer.data.y",
        ),
        ("data/x.py", "import albumentations, importlib\nimportlib.import_module(name)"),
        ("learning/x.py", "import lightning\nfrom perceptransfer.alignment import MMD"),
        ("pipeline/x.py", "from perceptransfer import __version__"),
        ("models/x.py", "models = 'perceptransfer.learning'  # a string is not an import"),
    ],
)
def test_what_goes_down_or_stays_is_allowed(tmp_path: Path, where: str, source: str) -> None:
    assert violations(house(tmp_path, where, source)) == []


def test_the_file_run_inside_blender_may_import_it(tmp_path: Path) -> None:
    assert violations(house(tmp_path / "a", "render/blender/worker.py", "import bpy")) == []
    assert len(violations(house(tmp_path / "b", "render/scene.py", "import bpy"))) == 1


def test_only_the_top_level_file_is_free(tmp_path: Path) -> None:
    source = "from perceptransfer.cli import main"
    assert violations(house(tmp_path / "a", "__init__.py", source)) == []
    assert len(violations(house(tmp_path / "b", "data/__init__.py", source))) == 1
