"""Every reader of labelled sets can be named in a YAML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from perceptransfer.cli import main
from tests.data import test_blenderproc_hdf5, test_bop, test_coco, test_mask_folder


def config_of(root: Path) -> dict[str, Any]:
    coco, bop = root / "coco", root / "bop"
    sources = {
        "synthetic": (
            "Coco",
            {
                "path": str(coco / "images"),
                "annotations": str(coco / "coco.json"),
                "class_map": {"cat": "a", "dog": "b"},
                "unmapped": "drop",
            },
        ),
        "real": (
            "MaskFolder",
            {
                "images": {"class_path": "perceptransfer.Folder", "init_args": {"path": str(root / "masks/images")}},
                "masks": str(root / "masks/masks"),
            },
        ),
        "unlabeled": ("BlenderProcHDF5", {"path": str(root / "hdf5"), "categories": {1: "a", 4: "b"}}),
        "device": ("Bop", {"path": str(bop / "test"), "class_map": {1: "a"}, "unmapped": "drop"}),
    }
    data: dict[str, Any] = {
        role: {"class_path": f"perceptransfer.{name}", "init_args": options}
        for role, (name, options) in sources.items()
    }
    tasks = [("Classification", {"num_classes": 2}), ("Segmentation", {"num_classes": 2, "width": 4})]
    return {
        "data": {**data, "synthetic_holdout": 0.25, "real_fraction": 0.5, "leakage": "off"},
        "pipeline": {
            "encoder": {"name": "small_cnn", "options": {"widths": [4, 8], "dim": 8}},
            "tasks": [{"class_path": f"perceptransfer.{name}", "init_args": args} for name, args in tasks],
            "pretrain": {"steps": 2, "batch_size": 4},
            "align": {"steps": 2, "batch_size": 4},
            "self_train": None,
            "finetune": {"steps": 2, "head_steps": 0, "batch_size": 4},
        },
    }


def test_one_run_from_four_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_coco.make_set(tmp_path / "coco")
    test_bop.make_set(tmp_path / "bop")
    test_blenderproc_hdf5.make_set(tmp_path / "hdf5")
    test_mask_folder.make_set(tmp_path / "masks")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config_of(tmp_path)))
    words = ["run", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "out"), "--accelerator", "cpu"]
    assert main(words) == 0, capsys.readouterr().err


def test_a_damaged_file_is_named_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_coco.make_set(tmp_path / "coco")
    path = tmp_path / "coco/coco.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["category_id"] = 3
    path.write_text(json.dumps(data))
    test_mask_folder.make_set(tmp_path / "masks")
    config = config_of(tmp_path)
    del config["data"]["unlabeled"], config["data"]["device"]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["run", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "coco.json: annotation 0 has the unknown category 3" in said and "remedy: add the category" in said
