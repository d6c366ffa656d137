"""``perceptransfer policy``: demonstrations, cloning on a frozen encoder, closed loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perceptransfer.cli import main
from tests.bundles import shared_pose_bundle

ROOT = Path(__file__).parents[2]
TARGET = str(ROOT / "configs" / "looks" / "target.yaml")


@pytest.fixture(scope="module")
def bundle() -> str:
    return str(shared_pose_bundle())


def run(*words: str) -> int:
    return main(["policy", *words])


def test_from_demonstrations_to_closed_loop(tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "2") == 0
    assert "2 demonstrations" in capsys.readouterr().out
    assert (
        run("train", shown, policy, "--bundle", bundle, "--steps", "3", "--features", "[8,10]", "--target", "[0,2]")
        == 0
    )
    assert run("evaluate", policy, TARGET, out, "--bundle", bundle, "--starts", "1") == 0
    assert "| held_out, target | 0/1" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(rows) == 9 and all(row["perception_error"] > 0 for row in rows)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.json", "table.md", "source.png", "target.png",
    }  # fmt: skip
    assert run("evaluate", policy, TARGET, out) == 1
    assert "needs its bundle" in capsys.readouterr().err


def test_the_true_state_needs_no_bundle_and_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "3", "--size", "0") == 0
    assert run("train", shown, policy, "--head", "chunk", "--horizon", "4", "--steps", "3") == 0
    assert run("evaluate", policy, TARGET, out, "--starts", "1") == 0
    assert "perception error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("demos", "x.hdf5", "--look", "gone.yaml"), "gone.yaml"),
        (("train", "gone.hdf5", "p"), "gone.hdf5"),
        (("evaluate", "gone", TARGET, "out"), "gone/policy.json"),
    ],
)
def test_bad_input(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) in (1, 2)
    message = capsys.readouterr().err
    assert said in message and "remedy" in message and not list(tmp_path.iterdir())


def test_an_unknown_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evalute") == 2 and "policy evalute" in capsys.readouterr().err
    assert run() == 2
