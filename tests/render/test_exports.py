"""COCO read back by pycocotools, BOP by its layout, statistics by hand, and a sheet that shows the labels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perceptransfer.core.errors import DataError, ImageError, OutputError
from perceptransfer.render import export_bop, export_coco, statistics
from perceptransfer.render.run import render
from perceptransfer.render.sheet import CELL, contact_sheet
from perceptransfer.render.writer import begin, rows
from tests.scenes import small_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("set") / "set"
    render(small_table(), place, 8, options={"smooth": False})
    return place


@given(hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_run_lengths_give_the_mask_back(mask: np.ndarray) -> None:
    lengths = export_coco.run_lengths(mask)
    values = np.concatenate([np.full(n, i % 2) for i, n in enumerate(lengths)])
    np.testing.assert_array_equal(values.reshape(mask.shape, order="F"), mask)


def test_coco_is_read_by_its_own_tools(folder: Path) -> None:
    coco_tools = pytest.importorskip("pycocotools.coco")
    coco = coco_tools.COCO(str(export_coco.export(folder)))
    names = {it["id"]: it["name"] for it in coco.loadCats(coco.getCatIds())}
    assert list(names.values()) == ["ball", "block", "can", "pill"]
    assert len(coco.getImgIds()) == 8
    for number, row in zip(coco.getImgIds(), rows(folder), strict=True):
        instances = cv2.imread(str(folder / row["instances"]), cv2.IMREAD_UNCHANGED)
        found = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
        objects = [it for it in row["objects"] if (instances == it["instance"]).any()]
        assert [names[it["category_id"]] for it in found] == [it["class"] for it in objects]
        for one, it in zip(found, objects, strict=True):
            mask = coco.annToMask(one).astype(bool)
            np.testing.assert_array_equal(mask, instances == it["instance"])
            assert one["area"] == mask.sum()
            y, x = np.nonzero(mask)
            assert one["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert len(one["keypoints"]) == 27
            assert one["num_keypoints"] == sum(v > 0 for v in one["keypoints"][2::3])
            for px, py, v in np.reshape(one["keypoints"], (9, 3)):
                assert v > 0 or (px, py) == (0, 0)


def test_coco_without_its_tools(folder: Path) -> None:
    data = json.loads(export_coco.export(folder).read_text())
    assert {"info", "licenses", "images", "annotations", "categories"} == set(data)
    sizes = {it["id"]: (it["height"], it["width"]) for it in data["images"]}
    for one in data["annotations"]:
        assert tuple(one["segmentation"]["size"]) == sizes[one["image_id"]]
        assert sum(one["segmentation"]["counts"]) == np.prod(sizes[one["image_id"]])
        assert sum(one["segmentation"]["counts"][1::2]) == one["area"]


def test_bop_has_its_layout_in_millimetres(folder: Path) -> None:
    scene = export_bop.export(folder) / "train" / "000000"
    assert export_bop.export(folder).is_dir()  # again, in place of the old one
    cameras, poses, infos = (
        json.loads((scene / f"{name}.json").read_text()) for name in ("scene_camera", "scene_gt", "scene_gt_info")
    )
    assert cameras.keys() == poses.keys() == infos.keys() == {str(i) for i in range(8)}
    for number, row in enumerate(rows(folder)):
        camera = cameras[str(number)]
        np.testing.assert_allclose(np.reshape(camera["cam_K"], (3, 3)), row["K"])
        depth = cv2.imread(str(scene / "depth" / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED) * camera["depth_scale"]
        for i, (pose, info, it) in enumerate(zip(poses[str(number)], infos[str(number)], row["objects"], strict=True)):
            mask = cv2.imread(str(scene / "mask_visib" / f"{number:06d}_{i:06d}.png"), cv2.IMREAD_UNCHANGED) > 0
            assert pose["obj_id"] == 1 + ["ball", "block", "can", "pill"].index(it["class"])
            assert info["px_count_visib"] == mask.sum() <= info["px_count_all"]
            assert info["visib_fract"] == pytest.approx(mask.sum() / max(info["px_count_all"], 1), abs=0.02)
            if mask.sum() > 20:  # the object's middle lies about where the depth image says
                assert abs(depth[mask].mean() - pose["cam_t_m2c"][2]) < 120
            world = np.reshape(camera["cam_R_w2c"], (3, 3)).T @ (np.array(pose["cam_t_m2c"]) - camera["cam_t_w2c"])
            assert 0 < world[2] < 150  # over the table, in millimetres


def test_bop_does_not_replace_what_it_did_not_write(folder: Path, tmp_path: Path) -> None:
    begin(tmp_path / "s", small_table(), 0)
    (tmp_path / "s" / "bop").mkdir()
    with pytest.raises(OutputError, match="not written by this command"):
        export_bop.export(tmp_path / "s")


def test_statistics_by_counting(folder: Path) -> None:
    numbers = statistics.of_set(folder)
    found = list(rows(folder))
    assert numbers["images"] == 8 and numbers["labels"] == {"ball": 2, "block": 2, "can": 2, "pill": 2}
    states = [point[2] for row in found for point in row["keypoints"][0]]
    total = [sum(it[name] for it in numbers["keypoints"].values()) for name in statistics.STATES]
    assert total == [states.count(0), states.count(1), states.count(2)]
    depth = [cv2.imread(str(folder / row["depth"]), -1) * row["depth_scale"] for row in found]
    assert numbers["depth_m"]["max"] == pytest.approx(max(it.max() for it in depth))
    assert numbers["depth_m"]["min"] == pytest.approx(min(it[it > 0].min() for it in depth))
    shares = [it["visible_fraction"] for row in found for it in row["objects"]]
    assert numbers["visible_fraction"]["median"] == pytest.approx(np.median(shares), abs=1e-3)
    reds = np.concatenate([cv2.imread(str(folder / row["file"]))[..., 2].ravel() for row in found])
    np.testing.assert_allclose(numbers["histogram"][0], np.histogram(reds, 16, (0, 256))[0] / len(reds), atol=1e-5)
    assert sum(numbers["pixels"].values()) == pytest.approx(1, abs=1e-3)
    assert "ball 2" in statistics.as_text(numbers)


def test_the_sheet_shows_every_sample_with_its_outline(folder: Path, tmp_path: Path) -> None:
    contact_sheet(folder, tmp_path / "sheet.png", columns=4)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (2 * CELL + 18), 4 * CELL, 3)
    row = next(rows(folder))
    plain, labelled = sheet[:CELL, :CELL].astype(int), sheet[CELL : 2 * CELL, :CELL].astype(int)
    instances = cv2.imread(str(folder / row["instances"]), cv2.IMREAD_UNCHANGED)
    target = next(it for it in row["objects"] if it["class"] == row["label"])
    changed = np.abs(plain - labelled).max(2) > 40
    large = cv2.resize(
        (instances == target["instance"]).astype(np.uint8), (CELL, CELL), interpolation=cv2.INTER_NEAREST
    )
    edge = cv2.morphologyEx(large, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert changed[edge].mean() > 0.5 > changed[~edge].mean()


def test_a_set_without_samples_or_with_a_lost_picture(folder: Path, tmp_path: Path) -> None:
    begin(tmp_path / "s", small_table(), 0)
    with pytest.raises(DataError, match="no samples"):
        contact_sheet(tmp_path / "s", tmp_path / "sheet.png")
    render(small_table(), tmp_path / "s", 1)
    (tmp_path / "s" / "instances" / "000000.png").unlink()
    with pytest.raises(ImageError, match="delete its file in labels"):
        export_coco.export(tmp_path / "s")
