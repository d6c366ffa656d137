"""The top-level module is lazy and complete; pyproject.toml says what the package imports."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import perceptransfer

PACKAGE = Path(perceptransfer.__file__).parent
HEAVY = {"torch", "lightning", "timm", "numpy", "albumentations", "jsonargparse", "matplotlib", "sklearn"}
# Declared although no file imports it.
INDIRECT = {"torchvision"}
# Imported where they are installed: a policy library calls our adapter for it, an extra has an environment of its own.
FOREIGN = {"robomimic", "lerobot"}
# Runs in Blender's Python; its packages stand in a requirements.txt beside it.
WORKER = PACKAGE / "render" / "blender"
# Extras that do not fit beside the newest torch: ``benchmarks/policy/read_datasets.py`` tries them.
APART = {"lerobot"}
PUBLIC = sorted(set(perceptransfer.__all__) - {"__version__"})


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_importing_the_package_is_light() -> None:
    assert not HEAVY & modules_after("import perceptransfer, perceptransfer as pt; dir(pt); pt.__version__")


def test_heavy_modules_would_be_seen() -> None:
    assert "numpy" in modules_after("import numpy")


def test_importing_the_package_imports_no_room() -> None:
    code = "import perceptransfer, sys; assert [m for m in sys.modules if m.startswith('perceptransfer.')] == []"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves(name: str) -> None:
    value = getattr(perceptransfer, name)
    assert value.__name__ == name
    assert value.__module__.startswith("perceptransfer.")
    assert vars(perceptransfer)[name] is value, "a second access must not import again"


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    for_checkers = {
        alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert for_checkers == perceptransfer._HOME
    assert set(dir(perceptransfer)) == {*for_checkers, "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'perceptransfer' has no attribute 'Encodre'"):
        perceptransfer.Encodre  # noqa: B018 - the access is the test


def test_the_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("perceptransfer") == perceptransfer.__version__


def project(checkout: Path) -> dict[str, Any]:
    return tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported_distributions(declared: set[str]) -> set[str]:
    """Installed distributions that any file of the package imports, in functions too; of several that bring the same
    module, the declared one.
    """
    modules = set()
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(WORKER):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(str(node.module).split(".")[0])
    origin = importlib.metadata.packages_distributions()
    third_party = modules - sys.stdlib_module_names - {"perceptransfer"} - FOREIGN
    bring = [[normal(name) for name in origin[module]] for module in third_party]
    return {next((name for name in names if name in declared), names[0]) for names in bring}


def test_what_is_imported_is_declared_and_the_reverse(checkout: Path) -> None:
    metadata = project(checkout)
    extras = [lines for extra, lines in metadata["optional-dependencies"].items() if extra not in {"dev", *APART}]
    declared = {normal(re.match(r"[\w.-]+", line)[0]) for line in {*metadata["dependencies"]}.union(*extras)}
    assert imported_distributions(declared) == declared - INDIRECT


def test_the_tests_have_every_extra_that_fits(checkout: Path) -> None:
    extras = project(checkout)["optional-dependencies"]
    assert set().union(*(lines for extra, lines in extras.items() if extra not in APART)) == set(extras["dev"])


def test_every_dependency_has_a_floor_and_a_reason(checkout: Path) -> None:
    metadata = project(checkout)
    wanted = {*metadata["dependencies"]}.union(*metadata["optional-dependencies"].values())
    text = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    assert [line for line in wanted if ">=" not in line] == []
    assert [line for line in wanted if not re.search(rf'"{re.escape(line)}",  # .{{10,}}', text)] == []
