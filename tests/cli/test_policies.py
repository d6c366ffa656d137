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


def test_what_a_head_learns_the_pose_from(tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown, policy = str(tmp_path / "demos.hdf5"), str(tmp_path / "policy")
    assert run("demos", shown, "--count", "1") == 0
    train = ("train", shown, policy, "--bundle", bundle, "--steps", "2")
    assert run(*train) == 2
    assert "would see 10 features, the labels are 2 numbers" in capsys.readouterr().err
    assert run(*train, "--pose", "encoder") == 0 and run(*train, "--features", "[8,10]") == 0


def test_the_true_state_needs_no_bundle_and_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "3", "--size", "0") == 0
    assert run("train", shown, policy, "--head", "chunk", "--horizon", "4", "--steps", "3") == 0
    assert run("evaluate", policy, TARGET, out, "--starts", "1") == 0
    assert "perception error" in capsys.readouterr().out


def test_demonstrations_as_a_lerobot_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lerobot", reason="lerobot has an environment of its own")
    shown = str(tmp_path / "demos")
    assert run("demos", shown, "--count", "2", "--size", "16", "--layout", "lerobot") == 0
    assert "2 demonstrations" in capsys.readouterr().out and (tmp_path / "demos" / "meta" / "info.json").exists()
    assert run("train", shown, str(tmp_path / "policy"), "--steps", "3") == 0
    assert run("demos", shown, "--count", "2", "--layout", "lerobot") == 1
    assert "is there already" in capsys.readouterr().err


DYNAMICS, GATE = str(ROOT / "configs/dynamics/worn_arm.yaml"), str(ROOT / "configs/gates/planar_reach.yaml")
FEW = ("--learning", "1", "--watch", "1", "--starts", "1", "--pairs", "1")


def test_finetuning_from_pictures_and_what_it_claims(
    tmp_path: Path, bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "2") == 0
    words = ("--bundle", bundle, "--steps", "3", "--head", "mlp", "--features", "[8,10]", "--target", "[0,2]")
    assert run("train", shown, policy, *words) == 0
    tune = ("finetune", policy, TARGET, DYNAMICS, GATE, out, "--bundle", bundle, "--updates", "0", *FEW)
    assert run(*tune) == 0
    said = capsys.readouterr().out
    assert all(f"\n{claim}" in said for claim in ("improvement NOT", "safety      supported", "deployment  NOT"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["conditions"].keys() == {"held-out starts", "delay +50 ms", "delay +100 ms", "edge"}
    assert all(row["tuned"]["perception_error"] > 0 for row in report["conditions"].values())
    assert "| edge | 0/1" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize("subset", ["gain_schedule", "residual", "lora"])
def test_finetuning_goes_on_where_it_was(subset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "3", "--size", "0") == 0
    assert run("train", shown, policy, "--steps", "3", "--head", "mlp") == 0
    tune = ("finetune", policy, TARGET, DYNAMICS, GATE, out, "--updates", "1", "--subset", subset, *FEW)
    assert run(*tune) == 0
    said, ledger = capsys.readouterr().out, tmp_path / "out" / "ledger.jsonl"
    assert said.count("update 0, trial, learning") == 3 and "update 0: " in said
    before = ledger.read_bytes()
    assert run(*tune) == 0 and ledger.read_bytes() == before
    assert "trial" not in capsys.readouterr().out
    assert run(*tune, "--seed", "1") == 1
    assert "the ledger is of another run" in capsys.readouterr().err


def test_a_robot_that_the_gate_must_hold_too_often_is_not_tuned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "3", "--size", "0") == 0
    assert run("train", shown, policy, "--steps", "3", "--head", "mlp") == 0
    limits = ("--max_intervention_rate", "0.001")
    assert run("finetune", policy, TARGET, DYNAMICS, GATE, out, *limits, *FEW) == 1
    assert "nothing was tuned: intervention rate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({2: "gone.yaml"}, "gone.yaml"),
        ({3: "gone.yaml"}, "gone.yaml"),
        ({4: TARGET}, "target.yaml"),
        ({1: "gone"}, "gone/policy.json"),
    ],
    ids=["look", "dynamics", "gate", "policy"],
)
def test_bad_input_of_finetuning(
    changed: dict[int, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, policy, out = (str(tmp_path / name) for name in ("demos.hdf5", "policy", "out"))
    assert run("demos", shown, "--count", "1", "--size", "0") == 0
    assert run("train", shown, policy, "--steps", "1") == 0
    words = ["finetune", policy, TARGET, DYNAMICS, GATE, out]
    for place, word in changed.items():
        words[place] = word
    assert run(*words, "--starts", "1") in (1, 2)
    message = capsys.readouterr().err
    assert said in message and "remedy" in message and not Path(out).exists()
    assert run("finetune", policy, TARGET, DYNAMICS, GATE, out, "--starts", "0") == 2
    assert "key: starts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("demos", "x.hdf5", "--look", "gone.yaml"), "gone.yaml"),
        (("train", "gone.hdf5", "p"), "gone.hdf5"),
        (("train", ".", "p"), "meta/info.json"),
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
