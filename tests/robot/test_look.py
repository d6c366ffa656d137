"""Looks: files, ranges, draws, and errors that name file, key and remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.patterns import PATTERNS, texture
from perceptransfer.robot.look import Look
from perceptransfer.robot.variables import VARIABLES

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs/looks").glob("*.yaml"))
HELD_OUT = [path for path in SHIPPED if path.stem == "target" or path.stem.startswith("final")]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_looks_are_read_and_written_alike(path: Path, tmp_path: Path) -> None:
    look = Look.read(path)
    look.write(tmp_path / "copy.yaml", header="# a copy\n")
    assert Look.read(tmp_path / "copy.yaml").fingerprint == look.fingerprint
    assert look.changed({"camera.dx": 0.1}).fingerprint != look.fingerprint


def test_looks_differ_and_held_out_ones_share_no_pattern_with_training() -> None:
    assert len({Look.read(path).fingerprint for path in SHIPPED}) == len(SHIPPED) == 6
    trained = {name for names in Look.read(ROOT / "configs/looks/randomized.yaml").textures.values() for name in names}
    for path in HELD_OUT:
        assert set(Look.read(path).textures["table"]).isdisjoint(trained)


def test_the_look_for_the_very_end_says_so() -> None:
    header = " ".join((ROOT / "configs/looks/final_c.yaml").read_text(encoding="utf-8").replace("#", "").split()[:60])
    assert "without being printed, rendered or looked at" in header


@given(st.integers(0, 2**31))
def test_draws_lie_in_their_ranges_and_repeat(seed: int) -> None:
    look = Look.read(ROOT / "configs/looks/randomized.yaml")
    made = look.sample(seed)
    assert made == look.sample(seed)
    assert made.values.keys() == VARIABLES.keys()
    assert all(low <= made.values[key] <= high for key, (low, high) in look.ranges.items())
    assert len(made.objects) == round(made.values["distractors.count"])


def test_changing_one_variable_moves_no_other_draw() -> None:
    look = Look.read(ROOT / "configs/looks/randomized.yaml")
    one, other = look.sample(5), look.changed({"camera.fov": (40, 41)}).sample(5)
    moved = [key for key in one.values if one.values[key] != other.values[key]]
    assert moved == ["camera.fov"] and one.textures == other.textures and one.objects == other.objects


def test_different_seeds_and_objects_differ() -> None:
    look = Look({"distractors.count": 6, "distractors.hue": (0.0, 1.0)})
    hues = [item["distractors.hue"] for seed in (1, 2) for item in look.sample(seed).objects]
    assert len(set(hues)) == 12


def test_an_empty_file_is_the_default_look(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert Look.read(tmp_path / "empty.yaml").fingerprint == Look().fingerprint


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("camera: {fow: 40}", "camera.fow", "did you mean camera.fov"),
        ("camra: {fov: 40}", "camra.fov", "did you mean camera.fov"),
        ("camera: {fov: 400}", "camera.fov", "vertical field of view: 30 to 75 degrees"),
        ("camera: {fov: [50, 40]}", "camera.fov", "30 to 75"),
        ("camera: {fov: [40, 45, 50]}", "camera.fov", "30 to 75"),
        ("camera: {fov: wide}", "camera.fov", "30 to 75"),
        ("camera: {fov: true}", "camera.fov", "30 to 75"),
        ("camera: {fov: .nan}", "camera.fov", "30 to 75"),
        ("camera: 40", "camera", "write sections"),
        ("- camera", None, "write sections"),
        ("table: {texture: velvet}", "table.texture", "known are plain"),
        ("table: {texture: []}", "table.texture", "name one"),
        ("arm: {texture: wood}", "arm.texture", "did you mean"),
        ("camera: [", None, "give a YAML file"),
    ],
)
def test_mistakes_name_file_key_and_remedy(tmp_path: Path, text: str, key: str | None, remedy: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Look.read(path)
    assert caught.value.key == key and remedy in str(caught.value.remedy) and "mine.yaml" in str(caught.value)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml"):
        Look.read(tmp_path / "no.yaml")


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_use_both_colours_and_repeat_by_seed(kind: str) -> None:
    black, white = np.zeros(3), np.ones(3)
    made = [texture(kind, black, white, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert made[0].shape == (128, 128, 3) and made[0].dtype == np.uint8
    assert np.array_equal(made[0], made[1])
    assert (np.ptp(made[0]) > 100) == (kind != "plain")
