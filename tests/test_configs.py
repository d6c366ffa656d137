"""Every shipped configuration runs, shortened, on images made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from perceptransfer.cli import main
from perceptransfer.cli.parse import EMBEDDED, parser_for
from perceptransfer.core.config import config_of, fingerprint, instantiate

ROOT = Path(__file__).parents[1]
PIPELINES = sorted((ROOT / "configs" / "pipelines").glob("*.yaml"))
OVERLAYS = sorted(path for room in ("tasks", "devices") for path in (ROOT / "configs" / room).glob("*.yaml"))
BENCHMARKS = sorted((ROOT / "benchmarks" / "real_fraction").glob("*.yaml"))
OWN = sorted((ROOT / "benchmarks" / "real_fraction" / "own").glob("*.yaml"))
LMO = sorted((ROOT / "benchmarks" / "real_fraction" / "lmo_renders").glob("*.yaml"))
SHORT = {
    "pretrain": {"steps": 2, "batch_size": 4},
    "align": {"steps": 2, "batch_size": 4},
    "self_train": {"steps": 1, "rounds": 1, "batch_size": 4},
    "finetune": {"steps": 2, "head_steps": 0, "rounds": 1, "batch_size": 4},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for place, count in (("sim", 8), ("real/train", 12), ("real/test", 4)):
        for name in ("bolt", "nut"):
            (root / place / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((72, 72), Image.Resampling.BICUBIC).save(
                    root / place / name / f"{i}.png"
                )
    return root


def shortened(config: dict[str, Any]) -> list[str]:
    words = []
    for stage, changes in SHORT.items():
        if config["pipeline"].get(stage) is not None:
            words += [word for key, value in changes.items() for word in (f"--pipeline.{stage}.{key}", str(value))]
    return words


def run(folders: Path, output: Path, configs: list[Path]) -> int:
    words = [word for path in configs for word in ("--config", str(path))]
    places = ["--data.synthetic", str(folders / "sim"), "--data.real", str(folders / "real")]
    short = shortened(yaml.safe_load(configs[0].read_text()))
    return main(["run", *words, *places, *short, "--output", str(output), "--accelerator", "cpu"])


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_pipelines(path: Path, folders: Path, tmp_path: Path) -> None:
    assert run(folders, tmp_path, [path]) == 0
    assert (tmp_path / "checkpoint.safetensors").exists() and (tmp_path / "report.json").exists()


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_overlays_go_on_top_of_a_pipeline(path: Path, folders: Path, tmp_path: Path) -> None:
    assert run(folders, tmp_path, [ROOT / "configs/pipelines/vit_lora.yaml", path]) == 0


@pytest.mark.parametrize("path", [EMBEDDED, *BENCHMARKS], ids=lambda path: path.stem)
def test_benchmarks_parse_and_name_real_arms(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_for("benchmark")
    config = parser.parse_args(["--config", str(path)])
    from perceptransfer.benchmark import Grid

    made = parser.instantiate(config)
    grid = Grid(made.data, made.pipeline, made.arms, made.fractions, made.seeds, arm_fractions=made.arm_fractions)
    assert list(grid.cells())


def instantiated(*configs: Path) -> Any:
    parser = parser_for("benchmark")
    return parser.instantiate(parser.parse_args([word for path in configs for word in ("--config", str(path))]))


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_own_renders_change_the_synthetic_side_only(path: Path) -> None:
    base = path.parents[1] / path.name
    given, own = instantiated(base), instantiated(base, path)
    assert type(own.data.synthetic).__name__ == "Annotated" and type(given.data.synthetic).__name__ != "Annotated"
    assert config_of(own.data.real) == config_of(given.data.real)
    assert config_of(own.pipeline) == config_of(given.pipeline) and set(own.arms) <= set(given.arms)


@pytest.mark.parametrize("path", LMO, ids=lambda path: path.stem)
def test_other_renders_of_lmo_are_trained_on_alike(path: Path) -> None:
    base = path.parents[1] / "lmo.yaml"
    whole, part, given = (
        instantiated(base),
        instantiated(base, path),
        instantiated(base, path.parent / "reference.yaml"),
    )
    assert config_of(part.pipeline) == config_of(given.pipeline)
    assert (config_of(part.data.real) == config_of(whole.data.real)) == (path.stem != "grey")
    assert config_of(part.data.synthetic) != config_of(whole.data.synthetic)


def test_grey_renders_of_lmo_are_the_coloured_ones_without_colour() -> None:
    base = ROOT / "benchmarks" / "real_fraction" / "lmo.yaml"
    grey, coloured = (
        instantiated(base, base.parent / "lmo_renders" / name) for name in ("grey.yaml", "calibrated.yaml")
    )
    for one, other in ((grey.data.synthetic, coloured.data.synthetic), (grey.data.real, coloured.data.real)):
        assert config_of(one) == config_of(other) | {"init_args": config_of(other)["init_args"] | {"grey": True}}
    assert grey.arms == coloured.arms


def test_the_control_of_identical_domains_changes_the_real_side_only() -> None:
    parser = parser_for("benchmark")
    full, control = (
        ROOT / "benchmarks/real_fraction" / name for name in ("digits.yaml", "controls/identical_digits.yaml")
    )
    made = parser.instantiate(parser.parse_args(["--config", str(full), "--config", str(control)]))
    synthetic, real = made.data.synthetic, made.data.real
    assert synthetic.ranges() == real.ranges() and synthetic.seed != real.seed
    test = round(real.count * real.test_share)
    assert test == 797, "as many as of the scanned digits"
    assert real.count - test == round(0.9 * synthetic.count), "as many to train on as synthetic ones"


def test_the_embedded_default_runs(tmp_path: Path) -> None:
    short = shortened(yaml.safe_load(EMBEDDED.read_text()))
    words = ["--seeds", "[0]", "--fractions", "[0, 0.02]", "--arms", "[A, D, I]", "--data.synthetic.count", "200"]
    assert main(["benchmark", *short, *words, "--jobs", "1", "--output", str(tmp_path)]) == 0


def test_the_full_protocol_has_the_embedded_data_and_pipeline() -> None:
    full, embedded = (
        yaml.safe_load(path.read_text()) for path in (ROOT / "benchmarks/real_fraction/digits.yaml", EMBEDDED)
    )
    assert full["data"] == embedded["data"] and full["pipeline"] == embedded["pipeline"]
    assert {0, 0.01, 0.1, 1} <= set(full["fractions"]) and len(full["seeds"]) >= 6


def test_a_users_own_loss_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "benchmarks/own_loss/central_moment.py"
    assert len(path.read_text().splitlines()) <= 30
    monkeypatch.syspath_prepend(str(path.parent))
    short = shortened(yaml.safe_load(EMBEDDED.read_text()))
    loss = ["--pipeline.align.loss", "central_moment.CentralMoment", "--data.synthetic.count", "200"]
    assert main(["run", *short, *loss, "--output", str(tmp_path), "--accelerator", "cpu"]) == 0
    assert '"loss": "CentralMoment"' in (tmp_path / "report.json").read_text()


DENSE = """
pipeline:
  class_path: Pipeline
  init_args:
    encoder: {class_path: Encoder}
    tasks: [{class_path: perceptransfer.tasks.Keypoints, init_args: {num_keypoints: 9}}]
    align:
      loss:
        class_path: Sum
        init_args:
          losses:
            - {class_path: DANN, init_args: {level: 2}}
            - {class_path: EntropyMinimization, init_args: {kinds: [keypoints]}}
          weights: [0.1, 0.3]
    self_train:
      teacher:
        class_path: perceptransfer.learning.Teacher
        init_args:
          mask_ratio: 0.3
          look:
            class_path: perceptransfer.data.Chain
            init_args: {parts: [{class_path: perceptransfer.data.PASTA}]}
"""


def test_losses_in_a_sum_and_an_online_teacher_are_configuration(tmp_path: Path) -> None:
    (tmp_path / "dense.yaml").write_text(DENSE)
    parser = parser_for("run")
    words = ["--config", str(tmp_path / "dense.yaml"), "--data.synthetic", "a", "--data.real", "b"]
    pipeline = parser.instantiate(parser.parse_args(words)).pipeline
    assert [type(loss).__name__ for loss in pipeline.stages["align"].loss.losses] == ["DANN", "EntropyMinimization"]
    assert pipeline.stages["self_train"].teacher.mask_ratio == 0.3
    assert fingerprint(instantiate(config_of(pipeline))) == fingerprint(pipeline)
