"""`perceptransfer render`: one command from a scene file to a labelled set, and mistakes with their keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perceptransfer.cli import main

SCENES = Path(__file__).parents[2] / "datasets"
SCENE = str(SCENES / "procedural_hand" / "scene.yaml")
SMALL = ["--set", "[viewpoint.distance_m=0.6, 'crops.size_px=[32, 32]']", "--options", "{smooth: false}"]


def test_a_set_is_made_continued_and_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert main(["render", SCENE, str(out), "--count", "2", *SMALL]) == 0
    first = (out / "images" / "000001.png").read_bytes()
    assert "2/2" in capsys.readouterr().err
    assert main(["render", SCENE, str(out), "--count", "6", *SMALL, "--export", "[coco, bop]", "--quiet", "true"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "6 images" in said.out and "labels: 0 1, 1 1, 2 1, 3 1, 4 1, 5 1" in said.out
    assert (out / "images" / "000001.png").read_bytes() == first
    assert (out / "sheet.png").exists() and (out / "coco.json").exists() and (out / "bop" / "train").is_dir()
    assert json.loads((out / "statistics.json").read_text())["images"] == 6
    assert main(["render", SCENE, str(tmp_path / "one"), "--only", "4", *SMALL]) == 0
    assert [p.name for p in (tmp_path / "one" / "images").iterdir()] == ["000004.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/such.yaml", "OUT"], "no/such.yaml: not a readable scene"),
        ([SCENE, "OUT", "--set", "['palm_share=2']"], "palm_share"),
        ([SCENE, "OUT", "--set", "[palm_share]"], "is no change"),
        ([SCENE, "OUT", "--set", "['palm=1']"], "did you mean palm_share"),
        ([SCENE, "OUT", "--set", "['classes.2=[\"012\"]']"], "classes.2"),
        ([SCENE, "OUT", "--engine", "blendr"], "unknown engine"),
        ([SCENE, "OUT", "--count", "0"], "--count 1 or more"),
    ],
)
def test_a_mistake_exits_with_2_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["render", *(str(tmp_path / "out") if it == "OUT" else it for it in words)]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize("name", ["lmo/scene.yaml", "lmo/scene_calibrated.yaml", "rigged_hand/scene.yaml"])
def test_the_remedy_for_missing_models_is_one_that_is_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path, out = SCENES / name, str(tmp_path / "out")
    key = "models" if "lmo" in name else "model"
    assert main(["render", str(path), out, "--set+", f"{key}=no/such"]) == 1
    said = capsys.readouterr().err
    assert "no/such" in said and f"--set+ {key}=F" in said
    if "lmo" in name:
        assert f"{name} OUT --engine blenderproc --set+ models=FOLDER" in path.read_text()
