"""The environment of the worker: named, made, or refused with both remedies."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptransfer.core.errors import RenderError
from perceptransfer.render import blender_env
from perceptransfer.render.blender_env import VARIABLE, interpreter


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
