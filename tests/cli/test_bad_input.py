"""Every bad input ends in a typed error that names the place and the remedy, with nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from perceptransfer.cli import main

RNG = np.random.default_rng(0)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two classes, synthetic and real with train and test; every image another one."""
    seed = 0
    for place, count in (("sim", 6), ("real/train", 5), ("real/test", 4)):
        for name in ("cat", "dog"):
            for i in range(count):
                seed += 1
                picture(tmp_path / place / name / f"{i}.png", seed)
    return tmp_path


def config_of(folder: Path, **changes: Any) -> Path:
    config: dict[str, Any] = {
        "data": {"synthetic": str(folder / "sim"), "real": str(folder / "real")},
        "pipeline": {
            "encoder": {"name": "small_cnn", "options": {"widths": [4, 8], "dim": 8}},
            "tasks": [{"class_path": "perceptransfer.tasks.Classification", "init_args": {"num_classes": 2}}],
            "pretrain": {"steps": 2, "batch_size": 4},
            "finetune": {"steps": 2, "batch_size": 4},
        },
        "arms": ["A", "D", "F"],
        "fractions": [0, 0.5],
        "seeds": [0],
        "jobs": 1,
    }
    for dotted, value in changes.items():
        place = config
        *path, last = dotted.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    target = folder / "config.yaml"
    target.write_text(yaml.safe_dump(config))
    return target


def run(folder: Path, *words: str, **changes: Any) -> int:
    command = ["benchmark", "--config", str(config_of(folder, **changes)), "--output", str(folder / "out"), *words]
    try:
        return main(command)
    except SystemExit as exit_:  # jsonargparse leaves this way
        return int(exit_.code or 0)


def nothing_half_written(folder: Path) -> bool:
    written = [path for path in (folder / "out").rglob("*") if path.is_file()] if (folder / "out").exists() else []
    return not any(
        path.name in ("summary.json", "table.md", "report.html") or ".writing" in str(path) for path in written
    )


def test_the_good_case_works(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folders) == 0
    assert (folders / "out" / "report.html").exists() and "report:" in capsys.readouterr().out


def truncated(folder: Path) -> None:
    path = folder / "real/train/cat/0.png"
    path.write_bytes(path.read_bytes()[:60])


def unreadable(folder: Path) -> None:
    (folder / "sim/dog/0.png").write_bytes(b"this is no picture")


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder / "sim")
    (folder / "sim").mkdir()


def missing_folder(folder: Path) -> None:
    shutil.rmtree(folder / "real")


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "sim/dog")


def other_classes(folder: Path) -> None:
    (folder / "sim/dog").rename(folder / "sim/bird")


def leaked(folder: Path) -> None:
    shutil.copy(folder / "real/test/cat/0.png", folder / "real/train/cat/again.png")


def leaked_as_another_file(folder: Path) -> None:
    Image.open(folder / "real/test/dog/1.png").resize((48, 48)).save(folder / "real/train/dog/again.jpg", quality=90)


def leaked_into_synthetic(folder: Path) -> None:
    Image.open(folder / "real/test/dog/2.png").save(folder / "sim/dog/render.webp", quality=80)


@pytest.mark.parametrize(
    ("spoil", "error", "named"),
    [
        (truncated, "ImageError", "real/train/cat/0.png"),
        (unreadable, "ImageError", "sim/dog/0.png"),
        (empty_folder, "DataError", "sim"),
        (missing_folder, "DataError", "real"),
        (one_class, "DataError", "sim"),
        (other_classes, "DataError", "bird"),
        (leaked, "LeakageError", "again.png"),
        (leaked_as_another_file, "LeakageError", "again.jpg"),
        (leaked_into_synthetic, "LeakageError", "render.webp"),
    ],
)
def test_bad_images(folders: Path, capsys: pytest.CaptureFixture[str], spoil: Any, error: str, named: str) -> None:
    spoil(folders)
    assert run(folders) == 1
    message = capsys.readouterr().err
    assert f"error: {error}" in message and named in message and "remedy:" in message
    assert nothing_half_written(folders)


@pytest.mark.parametrize(
    ("changes", "words", "code", "named"),
    [
        ({"fractions": [1.5]}, [], 1, "FractionError"),
        ({"fractions": [-0.1]}, [], 1, "fractions"),
        ({"data__labels": 1000}, [], 0, ""),  # the grid's own fractions go before
        ({"pipeline__encoder__name": "resnet81"}, [], 2, "resnet18"),
        ({"pipeline__pretrain__stepz": 3}, [], 2, "stepz"),
        ({"data__colour": "red"}, [], 2, "colour"),
        ({"arms": ["Q"]}, [], 2, "arms"),
        ({"seeds": []}, [], 2, "seeds"),
        ({"pipeline__pretrain__steps": 0}, [], 2, "pretrain.steps"),
        ({}, ["--no_such_option", "1"], 2, "no_such_option"),
        ({}, ["--jobs", "many"], 2, "jobs"),
    ],
)
def test_bad_configurations(
    folders: Path, capsys: pytest.CaptureFixture[str], changes: Any, words: list[str], code: int, named: str
) -> None:
    assert run(folders, *words, **changes) == code
    assert named in capsys.readouterr().err
    assert code == 0 or nothing_half_written(folders)


def test_more_labels_than_exist(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(folders, data__labels=1000)
    content = {key: value for key, value in yaml.safe_load(config.read_text()).items() if key in ("data", "pipeline")}
    config.write_text(yaml.safe_dump(content))
    assert main(["run", "--config", str(config), "--output", str(folders / "out"), "--accelerator", "cpu"]) == 1
    message = capsys.readouterr().err
    assert "FractionError" in message and "1000" in message and "10" in message


def test_a_diverging_loss_is_a_row_and_the_exit_code_says_so(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folders, pipeline__pretrain__lr=1e30, pipeline__pretrain__steps=20) == 1
    message = capsys.readouterr().err
    assert "DivergedError" in message and "pretrain.lr" in message
    assert "DivergedError" in (folders / "out/results.jsonl").read_text()


def test_unreadable_images_can_be_quarantined(folders: Path) -> None:
    truncated(folders)
    real = {
        "class_path": "perceptransfer.data.Folder",
        "init_args": {"path": str(folders / "real"), "on_bad_image": "quarantine"},
    }
    assert run(folders, data__real=real) == 0
    assert "train/cat/0.png" in (folders / "out/run.json").read_text()


def test_leaks_can_be_removed(folders: Path) -> None:
    leaked(folders)
    assert run(folders, data__leakage="remove") == 0
    assert "again.png" in (folders / "out/run.json").read_text()


def test_a_damaged_store_entry_is_made_again(folders: Path) -> None:
    assert run(folders) == 0
    summary = (folders / "out/summary.json").read_bytes()
    for weights in (folders / "out/store").rglob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-8])
    (folders / "out/results.jsonl").unlink()
    assert run(folders) == 0
    assert (folders / "out/summary.json").read_bytes() == summary


def test_a_full_disk(folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run(folders) == 1
    message = capsys.readouterr().err
    assert "OutputError" in message and "No space left" in message and "free disk space" in message
    monkeypatch.undo()
    assert nothing_half_written(folders)
    assert run(folders) == 0


def test_an_output_that_is_a_file(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "out").write_text("mine")
    assert run(folders) == 1
    assert "OutputError" in capsys.readouterr().err and (folders / "out").read_text() == "mine"


def test_a_read_only_output_folder(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folders / "closed"
    place.mkdir()
    place.chmod(0o500)
    if os.geteuid() == 0:  # who may write everywhere; except here, where no folder can be made
        place = Path("/proc/self")
    config = config_of(folders)
    assert main(["benchmark", "--config", str(config), "--output", str(place / "out")]) == 1
    message = capsys.readouterr().err
    assert "OutputError" in message and "remedy" in message
    assert not (place / "out").exists()


def test_an_edited_ledger(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folders) == 0
    assert main(["ledger", "verify", str(folders / "out")]) == 0
    path = folders / "out/ledger.jsonl"
    path.write_text(path.read_text().replace('"fraction": 0.5', '"fraction": 0.4', 1))
    assert main(["ledger", "verify", str(folders / "out")]) == 1
    assert "edited" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["nonsense"], ["ledger", "repair", "x"], ["report", "no/such/folder"]])
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    assert code in (1, 2) and "error" in capsys.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Child processes see Ctrl-C: a shell's background job ignores it, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_and_kill_lose_nothing_and_the_same_command_goes_on(folders: Path) -> None:
    config = config_of(folders, pipeline__pretrain__steps=60, fractions=[0, 0.3, 0.6], seeds=[0, 1, 2, 3])
    out = folders / "out"
    command = [sys.executable, "-m", "perceptransfer.cli", "benchmark", "--config", str(config), "--jobs", "2"]

    def start(place: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "--output", str(place)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def finish(process: subprocess.Popen[str]) -> int:
        process.communicate(timeout=200)
        return process.returncode

    def rows() -> int:
        path = out / "results.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def stop_after(count: int, number: signal.Signals) -> tuple[int, str]:
        process = start(out)
        while rows() < count and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
        return process.returncode, message

    code, message = stop_after(1, signal.SIGINT)
    assert code == 130 and "interrupted" in message and "Traceback" not in message
    kept = rows()
    code, _ = stop_after(kept + 2, signal.SIGKILL)
    assert code == -signal.SIGKILL and not (out / "summary.json").exists()
    interrupted = (out / "results.jsonl").read_text().splitlines()
    assert finish(start(out)) == 0
    final = (out / "results.jsonl").read_text().splitlines()
    assert set(interrupted[:-1]) <= set(final), "a finished cell was redone"
    assert main(["ledger", "verify", str(out)]) == 0
    assert finish(start(folders / "whole")) == 0
    assert (out / "summary.json").read_bytes() == (folders / "whole/summary.json").read_bytes()
