"""``perceptransfer export`` and ``perceptransfer verify``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perceptransfer.cli import main
from perceptransfer.policy import read_contract
from tests.bundles import checkpoint_of, make_encoder


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint_of(make_encoder("small_cnn", {"widths": [4], "dim": 4}), meta={"stage": "finetune"}).save(path)
    return str(path)


def test_export_then_verify(tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    words = ["--camera", "[24,40]", "--int8", "true", "--licence", "MIT", "--trained_on", "rendered digits"]
    assert main(["export", checkpoint, str(bundle), *words]) == 0
    contract = read_contract(bundle)
    printed = capsys.readouterr().out
    assert contract.sha256 in printed and "uint8 [B, 24, 40, 3] to pooled [B, 4]" in printed
    assert contract.trained_on == {"stage": "finetune", "domain": "rendered digits"} and contract.licence == "MIT"
    assert main(["verify", str(bundle)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:3]] == ["torch", "onnx", "int8"]
    (bundle / "encoder.onnx").write_bytes(b"another network")
    assert main(["verify", str(bundle)]) == 1
    message = capsys.readouterr().err
    assert "BundleError" in message and "encoder.onnx" in message and "remedy" in message


def test_nothing_is_written_over(tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine").write_text("keep")
    assert main(["export", checkpoint, str(tmp_path / "bundle")]) == 1
    assert "OutputError" in capsys.readouterr().err and (tmp_path / "bundle" / "mine").read_text() == "keep"


@pytest.mark.parametrize("words", [["--size", "[32]"], ["--camera", "[-1,4]"]])
def test_bad_sizes(tmp_path: Path, checkpoint: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", checkpoint, str(tmp_path / "bundle"), *words]) == 2
    assert "no image size" in capsys.readouterr().err and not (tmp_path / "bundle").exists()


def test_a_checkpoint_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "nothing"), str(tmp_path / "bundle")]) == 1
    assert "StoreError" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_nothing_of_the_exporters(tmp_path: Path, checkpoint: str) -> None:
    command = [sys.executable, "-m", "perceptransfer.cli", "export", checkpoint, str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "[torch.onnx]" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4
