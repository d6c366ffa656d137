"""The environment of the worker: named, made, or refused with both remedies."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from perceptransfer.core.errors import RenderError
from perceptransfer.render import blender_env
from perceptransfer.render.blender_env import VARIABLE, WORKER, Launch, interpreter
from perceptransfer.render.blender_process import start

NAMED = os.environ.get(VARIABLE)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_given_interpreter_comes_first_then_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/bin/sh")
    assert interpreter() == Path("/bin/sh")
    assert interpreter("/bin/cat") == Path("/bin/cat")


@pytest.mark.parametrize(("given", "key"), [("--blender-python", "--blender-python"), (None, VARIABLE)])
def test_what_is_no_program_is_named_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, key: str
) -> None:
    path = str(tmp_path / "nothing")
    monkeypatch.setenv(VARIABLE, path)
    with pytest.raises(RenderError) as caught:
        interpreter(path if given else None)
    assert key in str(caught.value) and path in str(caught.value)
    assert VARIABLE in str(caught.value.remedy) and "--engine raycast" in str(caught.value.remedy)


def test_a_complete_environment_is_used_and_a_half_made_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(blender_env, "_make", lambda folder, python: made.append(folder) or folder.mkdir(exist_ok=True))
    folder = blender_env.cache_folder()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    assert interpreter() == folder / "bin" / "python" and made == [folder]
    assert interpreter() == folder / "bin" / "python" and made == [folder]


def test_other_requirements_get_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = blender_env.cache_folder()
    changed = tmp_path / "requirements.txt"
    changed.write_text("bpy==1\n")
    monkeypatch.setattr(blender_env, "REQUIREMENTS", changed)
    assert blender_env.cache_folder() != before


def test_without_network_both_remedies_are_named_and_nothing_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on the discard port, so pip fails as it does without a network, only sooner.
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0", "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    for _ in range(2):
        with pytest.raises(RenderError, match="cannot make the environment") as caught:
            interpreter()
        assert "pip install -r" in str(caught.value.remedy) and "--engine raycast" in str(caught.value.remedy)
        assert not (blender_env.cache_folder() / "complete").exists()


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_is_started_as_it_is(tmp_path: Path) -> None:
    assert blender_env.blender_version(Path(sys.executable)) is None
    assert blender_env.launch(sys.executable) == Launch([sys.executable, str(blender_env.WORKER)])


def test_a_blender_that_is_too_old_is_refused_by_its_version(tmp_path: Path) -> None:
    old = program(tmp_path / "blender", "echo 'Blender 3.4.1'; echo '\tbuild date: 2023'")
    with pytest.raises(RenderError, match=r"Blender 3\.4, at least 4\.2 is needed") as caught:
        blender_env.launch(str(old))
    assert str(old) in str(caught.value) and caught.value.remedy


def test_a_program_that_does_not_start_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "blender"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(RenderError, match="does not start"):
        blender_env.launch(str(broken))


def test_a_blender_gets_the_packages_it_lacks_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    said = "echo 'Blender 4.2.1'; case \"$*\" in *python-expr*) echo '3.11.7 (main, Aug 2024)';; esac"
    blender = program(tmp_path / "blender", said)
    monkeypatch.setattr(blender_env, "_run", lambda command: asked.write_text("\n".join(command)))
    first, second = (blender_env.launch(str(blender)) for _ in range(2))
    assert first == second and first.command[0] == str(blender) and first.command[-3:-1] == ["--python", str(WORKER)]
    assert first.packages is not None and first.packages.endswith("packages-3.11")
    assert capsys.readouterr().err.count("installing") == 1
    words = asked.read_text().split("\n")
    assert words[words.index("--python-version") + 1] == "3.11" and first.packages in words
    wanted = Path(words[words.index("-r") + 1]).read_text()
    assert "blenderproc==" in wanted and "bpy==" not in wanted


@pytest.mark.skipif(
    shutil.which("blender") is None or NAMED is None,
    reason=f"no program blender, or {VARIABLE} does not name a Python that has blenderproc",
)
def test_the_worker_starts_inside_a_real_blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, blender = Path(str(NAMED)), Path(str(shutil.which("blender")))
    packages = next((python.parents[1] / "lib").glob("python3*")) / "site-packages"
    monkeypatch.setattr(blender_env, "_install", lambda folder, version: folder.symlink_to(packages))
    settings = {"samples": 4, "bounces": 1, "folder": str(tmp_path / "pictures")}
    process = start(blender_env.inside(blender), settings, tmp_path / "log.txt", limit_s=60)
    process.kill()
