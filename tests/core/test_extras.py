"""Optional packages that are missing are named together with the command that installs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perceptransfer.core.errors import MissingExtraError
from perceptransfer.core.extras import require


def test_installed_packages_pass() -> None:
    require("robot", "json", "mujoco")


def test_a_missing_one_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingExtraError, match=r'not installed: no_such_pkg\n.*pip install "perceptransfer\[robot\]"'):
        require("robot", "json", "no_such_pkg")


def test_the_robot_room_without_its_packages_is_a_typed_error() -> None:
    code = (
        "import sys\n"
        "sys.modules['mujoco'] = None  # as if it were not installed\n"
        "from perceptransfer.core.errors import MissingExtraError\n"
        "try:\n    import perceptransfer.robot\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mujoco" in run.stdout and "perceptransfer[robot]" in run.stdout
