"""Scene files: every mistake names the file, the dotted key and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perceptransfer.core.config import config_of
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.render.distributions import Choice, LogUniform, Normal, Uniform
from perceptransfer.render.spec import known, read_scene, read_sensor
from perceptransfer.render.things import Thing

PRIMITIVES = Path(__file__).parents[2] / "datasets" / "primitives" / "scene.yaml"

OWN = """
from perceptransfer.render.things import Ball

class Planet(Ball):
    def __init__(self, radius_m=1.0):
        super().__init__(radius_m)
"""


def changed(tmp_path: Path, key: str, value: Any) -> Path:
    """The primitives' file with one value replaced, init_args left out of the key."""
    tree = yaml.safe_load(PRIMITIVES.read_text())
    place = tree
    *path, last = key.split(".")
    for name in path:
        place = place.get("init_args", place)[name]
    place.get("init_args", place)[last] = value
    target = tmp_path / "scene.yaml"
    target.write_text(yaml.safe_dump(tree))
    return target


@pytest.mark.parametrize(
    ("key", "value", "problem", "named"),
    [
        ("spread_m", [0.3, 0.1], "largest value 0.1 is below the smallest 0.3", "spread_m"),
        ("viewpoint.distance_m", [550, 1350], "cannot be right", "viewpoint.distance_m"),
        ("viewpoint.distance_m", {"uniform": [2, 1]}, "below the smallest", "viewpoint.distance_m.high"),
        ("viewpoint.distance_m", {"normal": {"mean": 0.6, "st": 1}}, "no argument 'st'", "viewpoint.distance_m.st"),
        ("viewpoint.distance_m", {"unifrom": [1, 2]}, "class_path", "viewpoint.distance_m"),
        ("viewpoint.distance_cm", 50, "no argument 'distance_cm'", "viewpoint.distance_cm"),
        ("viewpoint", 5, "needs the arguments of a Viewpoint", "viewpoint"),
        ("viewpoint.size_px", [640], "two numbers in pixels", "viewpoint.size_px"),
        ("viewpoint.size_px", "large", "needs list", "viewpoint.size_px"),
        ("viewpoint.focal_px", None, "needs list", "viewpoint.focal_px"),
        ("objects.ball.radius_m", "5 cm", "finite number, got '5 cm'", "objects.ball.radius_m"),
        ("objects.ball.radius_m", [0, 0.1], "is not above 0", "objects.ball.radius_m"),
        ("objects.ball.surface.patterns", ["tartan"], "unknown pattern 'tartan'", "objects.ball.surface.patterns"),
        ("objects.ball.surface", {"colour": {"class_path": "Hsb"}}, "unknown Colours 'Hsb'",
         "objects.ball.surface.colour.class_path"),
        ("objects.cat", {"class_path": "Bal"}, "unknown Thing 'Bal'", "objects.cat.class_path"),
        ("objects.cat", {"class_path": "no.such.Thing"}, "cannot import", "objects.cat.class_path"),
        ("objects.cat", {"class_path": "pathlib.Path"}, "is no Thing", "objects.cat.class_path"),
        ("objects.cat", {"radius_m": 1}, "class_path", "objects.cat"),
        ("objects.cat", {"class_path": "MeshThing"}, "needs path", "objects.cat.path"),
        ("crops.min_visible_share", "half", "needs a number", "crops.min_visible_share"),
        ("sensor.jpeg_quality", [0, 50], "outside 1 to 100", "sensor.jpeg_quality"),
        ("rotation.first_share", 1.5, "cannot be right", "rotation.first_share"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_and_key(tmp_path: Path, key: str, value: Any, problem: str, named: str) -> None:
    path = changed(tmp_path, key, value)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_scene(path)
    assert caught.value.key == named
    assert str(path) in str(caught.value)


def test_a_missing_mesh_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "objects.ball", {"class_path": "MeshThing", "init_args": {"path": "no/such.ply"}})
    with pytest.raises(DataError, match=r"no/such\.ply"):
        read_scene(path)


@pytest.mark.parametrize("text", ["{", "5", "[]", "class_path: Table", "class_path: Nothing"])
def test_what_is_no_scene_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scene.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        read_scene(path)
    with pytest.raises(ConfigError, match="not a readable scene"):
        read_scene(tmp_path / "other.yaml")


def test_short_notations_of_distributions(tmp_path: Path) -> None:
    for value, kind in (
        ([0.1, 0.2], Uniform),
        ({"log_uniform": [0.1, 0.2]}, LogUniform),
        ({"normal": [0.2, 0.01]}, Normal),
        ({"choice": [0.1, 0.2]}, Choice),
        ({"choice": {"values": [0.1, 0.2], "weights": [1, 2]}}, Choice),
        ({"class_path": "Uniform", "init_args": {"low": 0.1, "high": 0.2}}, Uniform),
    ):
        made = read_scene(changed(tmp_path, "spread_m", value)).ranges["spread_m"]
        assert type(made) is kind
    assert read_scene(changed(tmp_path, "spread_m", 0.2)).ranges["spread_m"].low == 0.2


def test_changes_from_the_command_line() -> None:
    scene = read_scene(PRIMITIVES, {"spread_m": 0.2, "objects.ball.radius_m": [0.01, 0.02], "crops.size_px": [32, 32]})
    arguments = config_of(scene)["init_args"]
    assert arguments["spread_m"] == 0.2
    assert arguments["objects"]["ball"]["init_args"]["radius_m"] == [0.01, 0.02]
    assert scene.sample(0, 0).views[0].camera.width == 32
    with pytest.raises(ConfigError, match="no such place") as caught:
        read_scene(PRIMITIVES, {"objects.cone.radius_m": 1})
    assert caught.value.key == "objects.cone.radius_m"


def test_a_thing_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_things.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    scene = read_scene(changed(tmp_path, "objects.planet", {"class_path": "my_things.Planet"}))
    assert "planet" in scene.classes
    assert {"Ball", "Block", "Can", "Pill", "MeshThing"} <= set(known(Thing))


def test_the_sensor_alone_takes_its_own_changes(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("sensor: {gamma: 1.1}")
    found = read_sensor(tmp_path / "plain.yaml", {"sensor.gamma": 1.3, "crops.size_px": [32, 32]})
    assert found.ranges["gamma"].low == 1.3
    with pytest.raises(ConfigError, match=r"plain\.yaml.*no argument 'gama'"):
        read_sensor(tmp_path / "plain.yaml", {"sensor.gama": 1.3})
