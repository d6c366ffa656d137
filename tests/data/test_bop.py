"""BOP scenes: crops with mask, depth and keypoints from poses, and everything that can be wrong with them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.data import Bop, ImageSet
from perceptransfer.data.bop_scene import equivalent_poses
from tests.data.conftest import picture

CAMERA = np.array([[100.0, 0, 39.5], [0, 100, 29.5], [0, 0, 1]])
OF = (60, 80)
POINTS = {"1": [[0, 0, 0], [20, 0, 0], [0, -30, 0]], "5": [[0, 0, 0], [0, 10, 0], [10, 0, 0]]}  # mm
Change = Callable[[Path], None]


def turn(degrees: float) -> np.ndarray:
    """About the camera's axis."""
    a = np.deg2rad(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def pose(number: int, shift: list[float], degrees: float = 0) -> dict[str, Any]:
    return {"obj_id": number, "cam_R_m2c": turn(degrees).ravel().tolist(), "cam_t_m2c": shift}


def square(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros(OF, np.uint8)
    mask[y : y + h, x : x + w] = 255
    return mask


def save(values: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def make_set(folder: Path) -> Path:
    """One scene of three frames: object 1 half a metre away in the middle, object 5 to the right, hardly visible."""
    scene = folder / "test" / "000002"
    cameras, poses, infos = {}, {}, {}
    for frame in (3, 4, 12):
        save(picture(frame, *OF), scene / f"rgb/{frame:06d}.png")
        cameras[str(frame)] = {"cam_K": CAMERA.ravel().tolist(), "depth_scale": 0.1}
        poses[str(frame)] = [pose(1, [0, 0, 500], 90.0 * (frame == 4)), pose(5, [100, 0, 500])]
        infos[str(frame)] = [
            {"bbox_obj": [34, 24, 12, 12], "bbox_visib": [34, 24, 6, 12], "visib_fract": 0.5},
            {"bbox_obj": [-1] * 4, "bbox_visib": [56, 26, 8, 8], "visib_fract": 0.3},
        ]
        save(square(34, 24, 12, 12), scene / f"mask_visib/{frame:06d}_000000.png")
        save(square(56, 26, 8, 8), scene / f"mask_visib/{frame:06d}_000001.png")
        depth = np.full(OF, 10_000, np.uint16)  # one metre, at 0.1 mm a step
        depth[24:36, 34:46], depth[0], depth[26:34, 56:64] = 5000, 0, 3000
        save(depth, scene / f"depth/{frame:06d}.png")
    for name, data in (("scene_camera", cameras), ("scene_gt", poses), ("scene_gt_info", infos)):
        (scene / f"{name}.json").write_text(json.dumps(data))
    (folder / "points.json").write_text(json.dumps(POINTS))
    half = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    (folder / "models_info.json").write_text(json.dumps({"1": {"diameter": 9}, "5": {"symmetries_discrete": [half]}}))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path)


def source(root: Path, **changes: Any) -> Bop:
    parts = {"path": str(root / "test"), "class_map": {"1": "ape", "5": "can"}, "keypoints": str(root / "points.json")}
    return Bop(**{**parts, "models_info": str(root / "models_info.json"), **changes})


def named(images: ImageSet, name: str) -> dict[str, np.ndarray]:
    index = [record.name for record in images.records].index(f"000002/rgb/{name}")
    return {key: values[index] for key, values in images.targets.arrays.items()} | {"image": images.image(index)}


def test_crops_about_the_whole_outline_with_all_labels(root: Path) -> None:
    images = source(root, margin=2.0).load((48, 48))
    assert len(images) == 6 and images.classes == ("ape", "can")
    assert images.targets.mask_classes == ("background", "object")
    assert images.targets.keypoint_flip is None
    found = named(images, "000003.png#0")  # 24 x 24 from (28, 18), twice enlarged
    assert (found["mask"][12:36, 12:36] == 1).all() and found["mask"].sum() == 24 * 24
    assert np.unique(found["depth"]).tolist() == [0.5, 1.0]
    np.testing.assert_array_equal(found["depth"] == 0.5, found["mask"] == 1)
    # u = 100 · 0.02 / 0.5 + 39.5 = 43.5, and (43.5 + 0.5 − 28) · 2 − 0.5 = 31.5 in the crop.
    np.testing.assert_allclose(found["keypoints"][0], [[23.5, 23.5, 2], [31.5, 23.5, 2], [23.5, 11.5, 2]], atol=1e-4)
    turned = named(images, "000004.png#0")["keypoints"][0]
    np.testing.assert_allclose(turned[1:, :2], [[23.5, 31.5], [35.5, 23.5]], atol=1e-4)
    exact = np.asarray(Image.open(root / "test/000002/rgb/000003.png"))[18:42, 28:52].repeat(2, 0).repeat(2, 1)
    assert np.abs(found["image"].astype(int) - exact).mean() < 6


def test_the_outline_unknown_the_visible_box_serves(root: Path) -> None:
    images = source(root, margin=2.0).load((16, 16))
    mask = named(images, "000003.png#1")["mask"]  # 16 x 16 from (52, 22), a pixel a pixel
    assert (mask[4:12, 4:12] == 1).all() and mask.sum() == 64


def test_symmetric_objects_have_several_labellings_and_others_unused_ones(root: Path) -> None:
    images = source(root, margin=2.0).load((16, 16))
    assert images.targets.arrays["keypoints"].shape == (6, 2, 3, 3)
    ape, can = (named(images, f"000003.png#{i}")["keypoints"] for i in (0, 1))
    assert ape[0, :, 2].all() and not ape[1].any()
    middle = can[0, 0, :2]
    np.testing.assert_allclose(can[1, :, :2] - middle, -(can[0, :, :2] - middle), atol=1e-4)
    assert images.targets.arrays["keypoints"].shape[1] == 2
    without = source(root, models_info=None).load((16, 16))
    assert without.targets.arrays["keypoints"].shape[1] == 1


def test_what_stands_before_a_keypoint_hides_it(root: Path) -> None:
    can = named(source(root, margin=2.0).load((16, 16)), "000003.png#1")["keypoints"]
    assert (can[..., 2] == 1).all(), "the surface is at 0.3 m, the points at 0.5 m"
    for path in (root / "test/000002/depth").iterdir():
        path.unlink()
    images = source(root, margin=2.0).load((16, 16))
    assert "depth" not in images.targets.arrays
    assert named(images, "000003.png#1")["keypoints"][0, 0, 2] == 2
    save(square(34, 24, 12, 4), root / "test/000002/mask_visib/000003_000000.png")
    ape = named(source(root, margin=2.0).load((16, 16)), "000003.png#0")["keypoints"]
    assert ape[0, :, 2].tolist() == [1, 1, 2], "only the upper point is within the visible part"


def test_keypoints_out_of_the_crop_are_not_labelled(root: Path) -> None:
    (root / "points.json").write_text(json.dumps({**POINTS, "1": [[0, 0, 0], [200, 0, 0], [1000, 0, 0]]}))
    ape = named(source(root).load((16, 16)), "000003.png#0")["keypoints"]
    assert ape[0, :, 2].tolist() == [2, 0, 0] and np.isfinite(ape).all()


def test_the_camera_of_a_crop_projects_into_it(root: Path) -> None:
    reader = source(root, margin=1.5)
    images, cameras = reader.load((32, 32)), reader.cameras((32, 32))
    assert set(cameras) == {record.name for record in images.records}
    flat = cameras["000002/rgb/000004.png#0"] @ (turn(90) @ np.array(POINTS["1"]).T / 1000 + [[0], [0], [0.5]])
    expected = named(images, "000004.png#0")["keypoints"][0, :, :2]
    np.testing.assert_allclose((flat[:2] / flat[2]).T, expected, atol=1e-3)


def test_hardly_visible_objects_and_unnamed_ones_are_left_out(root: Path) -> None:
    assert len(source(root, min_visible=0.31).load((16, 16))) == 3
    assert source(root, class_map={"1": "ape"}, unmapped="drop").load((16, 16)).classes == ("ape",)
    assert source(root, class_map=None).load((16, 16)).classes == ("1", "5")
    with pytest.raises(ConfigError, match=r"categories \['5'\]"):
        source(root, class_map={"1": "ape"}).load((16, 16))
    with pytest.raises(DataError, match="no object is left"):
        source(root, min_visible=1.0).load((16, 16))


def test_blocks_of_frames_or_scenes_stay_together(root: Path) -> None:
    images = source(root, block=10, test_share=0.4).load((16, 16))
    assert {record.group for record in images.records} == {"000002 0", "000002 1"}
    split_of = {record.group: record.split for record in images.records}
    assert sorted(split_of.values()) == ["test", "train"]
    assert all(split_of[record.group] == record.split for record in images.records)
    other = root / "test/000007"
    other.mkdir()
    for path in (root / "test/000002").rglob("*"):
        target = other / path.relative_to(root / "test/000002")
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes())
    assert {record.group for record in source(root).load((16, 16)).records} == {"000002", "000007"}


def test_without_masks_depth_and_points_there_are_boxes(root: Path) -> None:
    for folder in ("mask_visib", "depth"):
        for path in (root / "test/000002" / folder).iterdir():
            path.unlink()
    images = source(root, keypoints=None).load((16, 16))
    assert len(images) == 6 and not images.targets


def change_json(name: str, change: Callable[[Any], object]) -> Change:
    def edit(scene: Path) -> None:
        data = json.loads((scene / name).read_text())
        change(data)
        (scene / name).write_text(json.dumps(data))

    return edit


def cut(name: str) -> Change:
    return lambda scene: (scene / name).write_bytes((scene / name).read_bytes()[:-40]) and None


DAMAGE: list[tuple[Change, str]] = [
    (cut("scene_gt.json"), r"scene_gt\.json: cannot be read as JSON"),
    (lambda scene: (scene / "scene_camera.json").unlink(), r"scene_camera\.json: cannot be read"),
    (change_json("scene_camera.json", lambda d: d.pop("4")), r"000002: .*do not fit together \(KeyError\('4'\)"),
    (change_json("scene_gt_info.json", lambda d: d["4"].pop()), r"do not fit together"),
    (change_json("scene_gt.json", lambda d: d["4"][0].pop("obj_id")), r"do not fit together \(KeyError\('obj_id'\)"),
    (change_json("scene_gt.json", lambda d: d["4"][0].update(cam_R_m2c=[1] * 9)), r"a pose that is none"),
    (change_json("scene_gt.json", lambda d: d["4"][0].update(cam_t_m2c=[0, 0])), r"do not fit together"),
    (change_json("scene_camera.json", lambda d: d["4"].update(cam_K=[1, 2])), r"do not fit together"),
    (
        change_json("scene_gt.json", lambda d: d["4"][0].update(cam_t_m2c=[0, 0, -500])),
        r"000002: frame 4, object 0 \(obj_id 1\): a keypoint is behind the camera[\s\S]*millimetres",
    ),
    (
        lambda scene: save(np.zeros((60, 81), np.uint8), scene / "mask_visib/000004_000000.png"),
        r"000004_000000\.png: mask is 81x60, its image 80x60",
    ),
    (lambda scene: save(np.zeros((30, 40), np.uint16), scene / "depth/000004.png"), r"depth is 40x30, its image 80x60"),
    (lambda scene: save(np.zeros((60, 80, 3), np.uint8), scene / "depth/000004.png"), r"not one whole number a pixel"),
    (cut("depth/000004.png"), r"depth/000004\.png: cannot be read"),
    (lambda scene: (scene / "scene_gt.json").unlink(), r"test: holds no folder with scene_gt\.json"),
    (lambda scene: (scene.parents[1] / "points.json").write_text('{"1": [[0, 0, 0]]}') and None, r"of the object 5"),
    (
        lambda scene: (scene.parents[1] / "points.json").write_text('{"1": [[0, 0, 0]], "5": [[0, 0]]}') and None,
        r"points\.json: has no points \[x, y, z\] of the object 5",
    ),
    (
        lambda scene: (scene.parents[1] / "points.json").write_text(json.dumps({**POINTS, "5": [[0, 0, 0]]})) and None,
        r"different numbers of points",
    ),
    (
        change_json("../../models_info.json", lambda d: d["5"].update(symmetries_discrete=[[1]])),
        r"models_info\.json: a symmetry is no motion",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[str(i) for i in range(len(DAMAGE))])
def test_damage_is_named(root: Path, damage: Change, message: str) -> None:
    damage(root / "test/000002")
    with pytest.raises(DataError, match=message) as caught:
        source(root).load((16, 16))
    assert caught.value.where is not None and caught.value.remedy


def test_missing_images(root: Path) -> None:
    (root / "test/000002/rgb/000004.png").unlink()
    with pytest.raises(ImageError, match=r"rgb/000004\.png: cannot be opened"):
        source(root).load((16, 16))
    images = source(root, on_bad_image="quarantine").load((16, 16))
    assert len(images) == len(images.targets.arrays["keypoints"]) == 4 and len(images.quarantined) == 2


def test_identity_is_that_of_the_files_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    before = fingerprint(source(root))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("test", "points.json", "models_info.json"):
        (root / name).rename(moved / name)
    assert fingerprint(source(moved)) == before
    assert config_of(instantiate(config_of(source(moved)))) == config_of(source(moved))
    save(square(34, 24, 12, 11), moved / "test/000002/mask_visib/000003_000000.png")
    changed = fingerprint(source(moved))
    (moved / "points.json").write_text(json.dumps({**POINTS, "5": POINTS["1"]}))
    assert len({before, changed, fingerprint(source(moved))}) == 3


def test_turns_about_an_axis_move_nothing_of_it() -> None:
    info = {"symmetries_continuous": [{"axis": [0, 0, 2], "offset": [10, 0, 0]}]}
    motions = equivalent_poses(info, Path("x"))
    assert len(motions) == 12
    for k, motion in enumerate(motions):
        np.testing.assert_allclose(motion @ [0.01, 0, 0.3, 1], [0.01, 0, 0.3, 1], atol=1e-12)
        angle = np.deg2rad(30 * k)
        np.testing.assert_allclose(motion @ [0.02, 0, 0, 1], [0.01 + 0.01 * np.cos(angle), 0.01 * np.sin(angle), 0, 1])


@pytest.mark.parametrize("options", [{"min_visible": 2.0}, {"block": 0}, {"margin": 0.0}])
def test_arguments_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="margin" if "margin" in options else "min_visible"):
        Bop("x", **options)


def test_the_crops_of_real_frames_are_those_of_the_benchmarks_own_preparation(
    checkout: Path, shared_data: Path, tmp_path: Path
) -> None:
    """`benchmarks/lmo/prepare.py` warps the frame in one go and was checked by overlay."""
    spec = importlib.util.spec_from_file_location("lmo_prepare", checkout / "benchmarks/lmo/prepare.py")
    assert spec is not None and spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    data = shared_data / "lmo_real"
    points = json.loads((shared_data / "lmo_synth/model_keypoints.json").read_text())["cat"]["points_mm"]
    info = json.loads((data / "models/models_info.json").read_text())["6"]
    model = prepare.Model(data / "models/obj_000006.ply", info, points)
    frame = next(it for it in json.loads((data / "annotations.json").read_text()) if it["file"] == "000003.jpg")
    cat = next(it for it in frame["objects"] if it["name"] == "cat")
    camera, rotation = np.array(frame["cam_K"]).reshape(3, 3), np.array(cat["R"]).reshape(3, 3)
    pixels, _ = prepare.project(model.vertices, camera, rotation, np.array(cat["t_mm"]) / 1000)
    low, high = pixels.min(0), pixels.max(0)
    scene = tmp_path / "000002"
    (scene / "rgb").mkdir(parents=True)
    (scene / "rgb/000003.jpg").write_bytes((data / "images/000003.jpg").read_bytes())
    classes = np.asarray(Image.open(data / "masks/000003.png"))
    save((classes == 6).astype(np.uint8) * 255, scene / "mask_visib/000003_000000.png")
    box = [*low.tolist(), *(high - low).tolist()]
    (scene / "scene_gt.json").write_text(
        json.dumps({"3": [{"obj_id": 6, "cam_R_m2c": cat["R"], "cam_t_m2c": cat["t_mm"]}]})
    )
    (scene / "scene_camera.json").write_text(json.dumps({"3": {"cam_K": frame["cam_K"]}}))
    (scene / "scene_gt_info.json").write_text(json.dumps({"3": [{"bbox_obj": box, "visib_fract": 0.9}]}))
    (tmp_path / "points.json").write_text(json.dumps({"6": points}))
    reader = Bop(str(tmp_path), keypoints=str(tmp_path / "points.json"))
    images, own = reader.load((96, 96)), reader.cameras((96, 96))["000002/rgb/000003.jpg#0"]
    side = 1.2 * float((high - low).max())
    factor, corner = 96 / side, (low + high) / 2 - side / 2
    move = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5], [0, 0, 1.0]])
    move[:2, 2] -= factor * corner
    np.testing.assert_allclose(own, move @ camera, rtol=1e-9)
    size, visible = (96, 96), classes == 6
    warped = cv2.warpAffine(visible.astype(np.uint8), move[:2], size, flags=cv2.INTER_NEAREST)
    assert (images.targets.arrays["mask"][0] == warped).mean() > 0.99
    expected = prepare.labels(model, move @ camera, rotation, np.array(cat["t_mm"]) / 1000, warped == 1)["keypoints"]
    np.testing.assert_allclose(images.targets.arrays["keypoints"][0, 0, :, :2], np.array(expected)[0, :, :2], atol=2e-3)
    frame_pixels = np.asarray(Image.open(data / "images/000003.jpg"))
    picture_ = cv2.warpAffine(frame_pixels, move[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(images.image(0).astype(int) - picture_).mean() < 6


def test_a_symmetry_with_a_shift_is_read_in_millimetres() -> None:
    flat = [-1, 0, 0, 100, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    same, other = equivalent_poses({"symmetries_discrete": [flat]}, Path("x"))
    np.testing.assert_array_equal(same, np.eye(4))
    np.testing.assert_allclose(other @ [0.02, 0.01, 0, 1], [0.08, -0.01, 0, 1])
