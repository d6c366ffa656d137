"""A LeRobotDataset and back. lerobot's own reader: ``benchmarks/policy/read_datasets.py``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceptransfer.core.errors import DataError, MissingExtraError, OutputError
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.lerobot_dataset import ABOUT, INFO, read_lerobot, write_lerobot
from tests.robot.test_demonstrations import ARGS, demo

ABOUT_GATE = {**ARGS, "gate": {"constraints": {"a": "m", "b": "m", "c": "N"}}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lerobot", reason="lerobot has an environment of its own")
    folder = tmp_path_factory.mktemp("lerobot") / "data"
    write_lerobot(folder, [demo(3 + i, i) for i in range(4)], ABOUT_GATE, fps=20, valid=0.25)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data"))


def test_everything_comes_back(folder: Path) -> None:
    found = read_lerobot(folder)
    assert found.env_args == ABOUT_GATE and found.masks == {"train": (0, 1, 2), "valid": (3,)}
    for i, read in enumerate(found.demos):
        given, columns = demo(3 + i, i).columns(), read.columns()
        assert given.keys() == columns.keys()
        for name, column in given.items():
            assert np.array_equal(columns[name], column) and columns[name].dtype == column.dtype, name


def test_policies_find_what_they_look_for_and_nothing_else(folder: Path) -> None:
    features = json.loads((folder / INFO).read_text())["features"]
    assert {name for name in features if name.startswith(("action", "observation"))} == {
        "action", "observation.images.image", "observation.state",
    }  # fmt: skip
    assert features["gate.g"]["names"] is None and features["labels.tip"]["shape"] == [1]
    assert features["next.done"]["dtype"] == "bool" and features["observation.images.image"]["dtype"] == "image"


def test_columns_that_only_look_like_input_are_renamed(tmp_path: Path) -> None:
    pytest.importorskip("lerobot", reason="lerobot has an environment of its own")
    plain = demo(3)
    extra = {"action.executed": plain.actions, "gate.g_after": np.ones((3, 3)), "one": np.full((3, 1), np.inf)}
    given = Demonstration(
        {**plain.obs, "state": plain.states}, plain.actions, plain.rewards, plain.dones, plain.states, extra
    )
    write_lerobot(tmp_path / "data", [given], ABOUT_GATE, fps=10)
    features = json.loads((tmp_path / "data" / INFO).read_text())["features"]
    assert {"recorded.action.executed", "simulator.state", "simulator.states"} < features.keys()
    assert features["gate.g_after"]["names"] == ["a", "b", "c"]
    (read,) = read_lerobot(tmp_path / "data").demos
    assert read.extra["one"].shape == (3, 1) and np.isinf(read.extra["one"]).all()
    assert np.array_equal(read.obs["state"], plain.states)


def test_nothing_is_left_of_a_failed_write(folder: Path) -> None:
    with pytest.raises(OutputError, match="is there already"):
        write_lerobot(folder, [demo(3)], ARGS, fps=20)
    other = demo(3)
    other = Demonstration(other.obs, other.actions, other.rewards, other.dones, other.states)
    with pytest.raises(DataError, match="demonstration 1 has other columns"):
        write_lerobot(folder.parent / "new", [demo(3), other], ARGS, fps=20)
    with pytest.raises(DataError, match="no demonstrations"):
        write_lerobot(folder.parent / "new", [], ARGS, fps=20)
    with pytest.raises(KeyError):
        write_lerobot(folder.parent / "new", [demo(3)], {}, fps=20)
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


def cut(folder: Path) -> None:
    (path,) = (folder / "data").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-40])


def announce(name: str, value: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        info = json.loads((folder / INFO).read_text())
        (folder / INFO).write_text(json.dumps({**info, name: value}))

    return apply


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "data: not a readable data set"),
        (lambda folder: shutil.rmtree(folder / "data"), "data: not a readable data set"),
        (announce("total_frames", 99), "18 ticks in 4 episodes, 99 in 4 announced"),
        (announce("total_episodes", 5), "18 ticks in 4 episodes, 18 in 5 announced"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=said) as caught:
        read_lerobot(folder)
    assert caught.value.remedy and str(folder) in str(caught.value)


GOOD = {
    INFO: {"codebase_version": "v3.0", "features": {"action": {}}, "total_frames": 1, "total_episodes": 1},
    ABOUT: {"columns": {"actions": {"feature": "action", "shape": [2]}}, "env_args": {}, "masks": {}},
}


@pytest.mark.parametrize(
    ("file", "content", "key", "said"),
    [
        (INFO, None, None, "No such file"),
        (INFO, '{"codebase', None, "damaged"),
        (INFO, "3", None, "damaged"),
        (INFO, json.dumps({**GOOD[INFO], "codebase_version": "v2.1"}), "codebase_version", "v2.1"),
        (INFO, json.dumps({**GOOD[INFO], "features": {}}), "features", "actions are no longer there"),
        (INFO, "{}", "codebase_version", "lacks codebase_version, features"),
        (ABOUT, None, None, "no LeRobotDataset of this package"),
        (ABOUT, '{"columns": {}, "masks": {}}', "env_args", "lacks env_args"),
    ],
)  # needs no lerobot: what can be judged without it is judged first
def test_a_folder_that_is_none_is_refused_by_file_and_key(
    tmp_path: Path, file: str, content: str | None, key: str | None, said: str
) -> None:
    (tmp_path / "meta").mkdir()
    for name, good in GOOD.items():
        (tmp_path / name).write_text(json.dumps(good))
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        read_lerobot(tmp_path)
    assert caught.value.where == tmp_path / file and caught.value.key == key and caught.value.remedy


def test_lerobot_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lerobot", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r'pip install "perceptransfer\[lerobot\]"'):
        write_lerobot(tmp_path / "data", [demo(3)], ARGS, fps=20)
    assert not list(tmp_path.iterdir())
