"""`perceptransfer render calibrate`: from a scene file and photos to a scene file and a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perceptransfer.cli import main
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of
from perceptransfer.models import Encoder
from perceptransfer.render.calibration.light import Developer
from perceptransfer.render.optics import SensorRanges

SCENE = str(Path(__file__).parents[2] / "datasets" / "primitives" / "scene.yaml")
SMALL = ["--set", "['viewpoint.size_px=[160, 120]', 'viewpoint.focal_px=[140, 140]', 'crops.size_px=[32, 32]']"]
QUICK = ["--options", "{smooth: false, shadow_rays: 0}"]
FEW = ["--count", "24", "--budget", "40"]
ENOUGH = ["--count", "48", "--budget", "80"]  # with fewer pictures the judgement hangs on the last bits of a sum


def image_set(folder: Path, sensor: SensorRanges, recorded: SensorRanges | None, seed: int) -> None:
    """Forty pictures of discs as an annotated set."""
    images = Developer(discs(40, seed), sensor, seed).as_given()
    (folder / "images").mkdir(parents=True)
    rows = []
    for i, image in enumerate(images):
        rows.append(json.dumps({"file": f"images/{i:03d}.png", "label": "a"}))
        Image.fromarray(image).save(folder / "images" / f"{i:03d}.png")
    (folder / "annotations.jsonl").write_text("\n".join(rows) + "\n")
    spec = {"init_args": {"sensor": None if recorded is None else config_of(recorded)}}
    (folder / "dataset.json").write_text(json.dumps({"format": 1, "classes": ["a"], "scene": {"spec": spec}}))


def discs(count: int, seed: int) -> np.ndarray:
    """Discs on grey, linear ``[n, 32, 32, 3]``."""
    y, x = np.mgrid[:32, :32] / 32
    found = np.full((count, 32, 32, 3), 0.3, np.float32)
    for i, picture in enumerate(found):
        rng = np.random.default_rng([seed, i])
        for _ in range(5):
            (cy, cx), radius = rng.random(2), rng.uniform(0.08, 0.3)
            picture[np.hypot(x - cx, y - cy) < radius] = rng.uniform(0.02, 0.9, 3)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of a perfect sensor, one that has a sensor, and dark reddish photos."""
    folder = tmp_path_factory.mktemp("sets")
    real = SensorRanges(exposure_stops=(-1.9, -1.6), red_gain=1.4, blue_gain=0.75)
    image_set(folder / "perfect", SensorRanges(), None, 1)
    image_set(folder / "shipped", SensorRanges(gamma=1.1), SensorRanges(gamma=1.1), 2)
    image_set(folder / "photos", real, None, 3)
    return folder


def test_a_scene_is_rendered_fitted_and_reported(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fitted.yaml"
    words = ["render", "calibrate", SCENE, str(made / "photos" / "images"), str(out), *SMALL, *QUICK, *ENOUGH]
    words += ["--focus", "0.9"]
    assert main(words) == 0
    said = capsys.readouterr().out
    data = json.loads((tmp_path / "fitted.json").read_text())
    assert data["kept"] and "fitted ranges are kept" in said and "fitted:" in said
    assert data["distance"]["after"] < data["distance"]["before"] and data["distance"]["evaluations"] == 80
    written = yaml.safe_load(out.read_text())["init_args"]["sensor"]
    assert written["exposure_stops"] == data["ranges"]["exposure_stops"]["after"]
    assert "exposure_stops" in (tmp_path / "fitted.md").read_text()
    with Image.open(tmp_path / "fitted.png") as picture:
        assert picture.width > 800
    first = out.read_text()
    assert main(words) == 0 and out.read_text() == first


def test_a_set_of_a_perfect_sensor_takes_the_place_of_rendering(made: Path, tmp_path: Path) -> None:
    out, real = tmp_path / "x.yaml", str(made / "photos" / "images")
    assert main(["render", "calibrate", SCENE, real, str(out), "--synthetic", str(made / "perfect"), *FEW]) == 0
    assert yaml.safe_load(out.read_text())["class_path"] == "Table"


def test_of_a_set_with_a_sensor_the_ranges_come_on_top(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, real = tmp_path / "x.yaml", str(made / "photos" / "images")
    assert main(["render", "calibrate", SCENE, real, str(out), "--synthetic", str(made / "shipped"), *FEW]) == 0
    assert "on top" in capsys.readouterr().out
    assert yaml.safe_load(out.read_text()).keys() == {"sensor"}
    distance = json.loads((tmp_path / "x.json").read_text())["distance"]
    assert distance["before"] == distance["untouched"]


def test_what_does_not_help_leaves_the_file_as_it_was(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, real = tmp_path / "x.yaml", str(made / "perfect" / "images")
    (tmp_path / "plain.yaml").write_text("sensor: {}  # mine\n")
    words = [str(tmp_path / "plain.yaml"), real, str(out), "--synthetic", str(made / "perfect"), "--count", "32"]
    assert main(["render", "calibrate", *words, "--budget", "10"]) == 0
    assert "left as they were" in capsys.readouterr().out and out.read_text() == "sensor: {}  # mine\n"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"scene": "no/such.yaml"}, 2, "no/such.yaml: not a readable scene"),
        ({"real": "no/such"}, 1, "does not exist"),
        ({"more": ["--synthetic", "no/such"]}, 1, "is no rendered set"),
        ({"more": ["--budget", "0"]}, 2, "too few"),
        ({"more": ["--count", "4"]}, 2, "too few"),
        ({"more": ["--focus", "0"]}, 2, "focus"),
        ({"more": ["--engine", "blendr"]}, 2, "unknown engine"),
        ({"more": ["--set", "['sensor.gamma=-1']", "--synthetic", "perfect"]}, 2, "sensor.gamma"),
    ],
)
def test_mistakes(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], code: int, said: str
) -> None:
    given = {"scene": SCENE, "real": str(made / "photos" / "images"), "more": [], **change}
    words = [str(given["scene"]), str(given["real"]), str(tmp_path / "x.yaml"), *FEW, *given["more"]]  # type: ignore[misc]
    assert main(["render", "calibrate", *words]) == code
    assert said in capsys.readouterr().err and not (tmp_path / "x.yaml").exists()


def test_test_images_are_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.zeros((20, 16, 16, 3), np.uint8)
    (tmp_path / "images").mkdir()
    rows = []
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
        rows.append(json.dumps({"file": f"images/{i}.png", "split": "test"}))
    (tmp_path / "annotations.jsonl").write_text("\n".join(rows))
    words = [SCENE, str(tmp_path / "images"), str(tmp_path / "x.yaml"), "--synthetic", str(made / "perfect"), *FEW]
    assert main(["render", "calibrate", *words]) == 1
    assert "TestDomainError" in capsys.readouterr().err


def test_an_encoder_is_compared_as_well(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = Encoder("small_cnn")
    parts = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    Checkpoint(model={"encoder": config_of(encoder), "tasks": []}, state=parts).save(tmp_path / "weights.safetensors")
    words = [SCENE, str(made / "photos" / "images"), str(tmp_path / "x.yaml"), "--synthetic", str(made / "perfect")]
    found = []
    for more in ([], ["--encoder", str(tmp_path / "weights.safetensors")]):
        assert main(["render", "calibrate", *words, *FEW, *more]) == 0
        found.append(json.loads((tmp_path / "x.json").read_text())["distance"]["before"])
    assert found[0] != found[1] and "features of weights.safetensors" in capsys.readouterr().out
