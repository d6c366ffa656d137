"""COCO files: crops and whole pictures with masks and keypoints, and everything that can be wrong with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError, LeakageError
from perceptransfer.data import Coco, Manifest, files
from perceptransfer.data.coco_file import mirrored_names
from tests.data.conftest import picture

NAMES = ["nose", "left_ear", "right_ear"]
Change = Callable[[dict[str, Any]], None]


def polygon(x: float, y: float, w: float, h: float) -> list[float]:
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def thing(number: int, image: int, category: int, box: list[float], **more: Any) -> dict[str, Any]:
    x, y, w, h = box
    points = [x + w / 2 - 0.5, y + h / 2 - 0.5, 2, x, y, 1, 0, 0, 0]
    parts = {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": w * h, "iscrowd": 0}
    return {**parts, "segmentation": [polygon(*box)], "keypoints": points, "num_keypoints": 2, **more}


def make_set(folder: Path) -> Path:
    """Four pictures 40 high and 60 wide: a cat and a dog each, in the last a crowd before the dog."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(4):
        Image.fromarray(picture(i, 40, 60)).save(folder / "images" / f"{i}.png")
        images.append({"id": 10 + i, "file_name": f"{i}.png", "height": 40, "width": 60})
        annotations += [
            thing(2 * i, 10 + i, 1, [4 + i, 5, 20, 12]),
            thing(2 * i + 1, 10 + i, 7, [30, 10 + i, 16, 24]),
        ]
    counts = np.zeros((40, 60), bool)
    counts[20:40, 40:60] = True
    flat = counts.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    rle = {"size": [40, 60], "counts": np.diff([0, *edges, 2400]).tolist()}
    annotations.append(thing(99, 13, 7, [40, 20, 20, 20], iscrowd=1, segmentation=rle, keypoints=[0] * 9))
    categories = [
        {"id": 1, "name": "cat", "keypoints": NAMES},
        {"id": 7, "name": "dog", "keypoints": NAMES},
        {"id": 8, "name": "nobody", "keypoints": NAMES},
    ]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "coco.json").write_text(json.dumps(data))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path)


def source(root: Path, **changes: Any) -> Coco:
    return Coco(**{"path": str(root / "images"), "annotations": str(root / "coco.json"), **changes})


def edit(root: Path, change: Change) -> None:
    data = json.loads((root / "coco.json").read_text())
    change(data)
    (root / "coco.json").write_text(json.dumps(data))


def test_objects_are_cut_out_with_all_labels(root: Path) -> None:
    images = source(root).load((48, 48))
    assert images.classes == ("cat", "dog") and len(images) == 8
    targets = images.targets
    assert targets.mask_classes == ("background", "object") and targets.keypoint_names == tuple(NAMES)
    assert targets.keypoint_flip == (0, 2, 1)
    index = [record.name for record in images.records].index("0.png#1")  # the smaller one: the cat
    record = images.records[index]
    assert (images.classes[record.label or 0], record.group) == ("cat", "0.png")
    # The cat of the first picture: 20 x 12 from (4, 5), so the crop is 24 x 24 from (2, -1), twice enlarged.
    mask = targets.arrays["mask"][index]
    assert (mask[12:36, 4:44] == 1).all() and (mask[:2] == 255).all() and mask[2:12].max() == 0 == mask[36:].max()
    keypoints = targets.arrays["keypoints"][index, 0]
    np.testing.assert_allclose(
        keypoints[:2], [[(13.5 + 0.5 - 2) * 2 - 0.5, (10.5 + 0.5 + 1) * 2 - 0.5, 2], [4.5, 12.5, 1]]
    )
    assert keypoints[2, 2] == 0
    expected = np.asarray(Image.open(root / "images/0.png"))[0:23, 2:26].repeat(2, 0).repeat(2, 1)
    assert np.abs(images.image(index)[2:].astype(int) - expected).mean() < 6, "the same place in the picture"


def test_what_belongs_to_another_object_is_background_and_crowds_are_ignored(root: Path) -> None:
    images = source(root, margin=3.0).load((72, 72))
    index = [record.name for record in images.records].index("3.png#0")  # dog: 16 x 24 from (30, 13), crop 72 x 72
    mask = images.targets.arrays["mask"][index]  # from (2, -11), one pixel a pixel
    assert (mask[24:48, 28:44] == 1).all(), "the dog itself is before the crowd"
    assert (mask[31:51, 44:58] == 255).all() and (mask[48:51, 38:44] == 255).all()
    assert mask[18:27, 6:20].max() == 0, "the cat"


def test_whole_pictures_have_all_classes_in_one_mask(root: Path) -> None:
    edit(root, lambda data: data["annotations"].append(thing(50, 10, 1, [32, 12, 8, 8])))
    images = source(root, crop="none").load((40, 60))
    assert len(images) == 4 and images.classes == ("dog",), "the class is that of the largest object"
    assert images.targets.mask_classes == ("background", "cat", "dog", "nobody")
    expected = np.zeros((40, 60), int)
    expected[5:17, 4:24], expected[10:34, 30:46], expected[12:20, 32:40] = 1, 2, 1
    np.testing.assert_array_equal(images.targets.arrays["mask"][0], expected)
    dog = images.targets.arrays["keypoints"][0, 0]
    np.testing.assert_allclose(dog[:2], [[37.5, 21.5, 2], [30, 10, 1]])
    np.testing.assert_array_equal(images.image(0), np.asarray(Image.open(root / "images/0.png")))


def test_class_maps_join_and_drop(root: Path) -> None:
    joined = source(root, class_map={"cat": "animal", "dog": "animal"}, unmapped="drop").load((16, 16))
    assert joined.classes == ("animal",) and len(joined) == 8
    cats = source(root, class_map={"cat": "cat"}, unmapped="drop", crop="none").load((40, 60))
    assert cats.targets.mask_classes == ("background", "cat") and cats.targets.arrays["mask"][0].sum() == 240
    with pytest.raises(ConfigError, match=r"categories \['nobody'\][\s\S]*class_map[\s\S]*drop"):
        source(root, class_map={"cat": "a", "dog": "b"}).load((16, 16))
    with pytest.raises(ConfigError, match=r"no categories \['cow'\]; it has \['cat', 'dog', 'nobody'\]"):
        source(root, class_map={"cow": "a"}).load((16, 16))
    with pytest.raises(DataError, match=r"no image of the classes \['nobody'\]"):
        source(root, class_map={"cat": "cat", "dog": "dog", "nobody": "nobody"}).load((16, 16))


def test_small_objects_are_left_out(root: Path) -> None:
    edit(
        root, lambda data: data["annotations"].extend([thing(60, 10, 1, [1, 1, 7, 3]), thing(61, 10, 1, [1, 1, 0, 9])])
    )
    assert len(source(root).load((16, 16))) == 8
    assert len(source(root, smallest=5.0).load((16, 16))) == 9
    with pytest.raises(DataError, match="no object is left"):
        source(root, smallest=50.0).load((16, 16))


def test_a_file_for_each_part_or_a_share_for_the_test(root: Path) -> None:
    whole = json.loads((root / "coco.json").read_text())
    for part, ids in (("train", (10, 11, 12)), ("test", (13,))):
        kept = [it for it in whole["annotations"] if it["image_id"] in ids]
        images = [it for it in whole["images"] if it["id"] in ids]
        (root / f"{part}.json").write_text(json.dumps({**whole, "annotations": kept, "images": images}))
    parts = {part: str(root / f"{part}.json") for part in ("train", "test")}
    images = source(root, annotations=parts).load((16, 16))
    assert [record.split for record in images.records].count("test") == 2
    both = {"train": parts["train"], "test": str(root / "coco.json")}
    with pytest.raises(LeakageError, match=r"0\.png.* stands in two parts"):
        source(root, annotations=both).load((16, 16))
    shared = source(root, test_share=0.25).load((16, 16))
    of = {record.group: record.split for record in shared.records}
    assert all(record.split == of[record.group] for record in shared.records), "objects of a picture stay together"
    assert sorted(str(split) for split in of.values()) == ["test", "train", "train", "train"]
    with pytest.raises(ConfigError, match="unknown part 'training'"):
        source(root, annotations={"training": "x"})


def test_without_segmentations_or_keypoints_there_are_no_masks_or_keypoints(root: Path) -> None:
    def boxes_only(data: dict[str, Any]) -> None:
        for it in data["annotations"]:
            del it["segmentation"], it["keypoints"]
        for it in data["categories"]:
            del it["keypoints"]

    edit(root, boxes_only)
    images = source(root).load((16, 16))
    assert len(images) == 8 and not images.targets


def test_an_object_without_keypoints_has_none_labelled(root: Path) -> None:
    edit(root, lambda data: data["annotations"][0].update(keypoints=[]))
    images = source(root).load((16, 16))
    index = [record.name for record in images.records].index("0.png#1")
    assert not images.targets.arrays["keypoints"][index, ..., 2].any()


def test_keypoints_out_of_the_picture_are_not_labelled(root: Path) -> None:
    edit(root, lambda data: data["annotations"][0].update(keypoints=[50, 10, 2, 6, 7, 2, 500, -3, 1]))
    images = source(root).load((48, 48))
    index = [record.name for record in images.records].index("0.png#1")
    assert images.targets.arrays["keypoints"][index, 0, :, 2].tolist() == [0, 2, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][0].update(category_id=3), r"annotation 0 has the unknown category 3, known .*'7'"),
        (lambda d: d["annotations"][0].update(image_id=3), r"annotation 0 has the unknown image 3 \(key: image_id\)"),
        (lambda d: d["annotations"][3].pop("bbox"), r"annotation 3 is damaged \(KeyError\('bbox'\)\)"),
        (lambda d: d["annotations"].insert(2, "x"), r"annotation 2 is damaged"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4]), r"annotation 0 has the box .*key: bbox"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), r"has the box"),
        (lambda d: d["annotations"][0].update(keypoints=[1, 2, 2]), r"annotation 0 has keypoints that are not 3 times"),
        (lambda d: d["annotations"][0].update(keypoints=[1, 2, 5] * 3), r"v = 0, 1 or 2"),
        (lambda d: d["annotations"][0].update(keypoints=[1, "x", 2] * 3), r"keypoints that are not"),
        (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3]]), r"annotation 0: a polygon needs"),
        (
            lambda d: d["annotations"][-1]["segmentation"].update(size=[60, 40]),
            r"annotation 99: run lengths for \[60, 40\], the image has \[40, 60\]",
        ),
        (lambda d: d["images"][0].update(height=41), r"annotated size of 0\.png is 60x41, its image 60x40"),
        (lambda d: d["images"][0].pop("file_name"), r"is no COCO file of objects \(KeyError\('file_name'\)\)"),
        (lambda d: d.pop("categories"), r"no COCO file of objects \(KeyError\('categories'\)\)"),
        (lambda d: d["categories"][0].update(keypoints=["a", "b", "c"]), r"categories have different keypoints"),
        (lambda d: [it.update(keypoints=["nose", "left_ear", "x"]) for it in d["categories"]], r"'left_ear' has no"),
    ],
)  # fmt: skip
def test_damaged_annotations_are_named(root: Path, change: Change, message: str) -> None:
    edit(root, change)
    with pytest.raises(DataError, match=message) as caught:
        source(root).load((16, 16))
    assert caught.value.remedy and caught.value.where is not None


def test_a_file_cut_off(root: Path) -> None:
    path = root / "coco.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(DataError, match=r"coco\.json: cannot be read as JSON[\s\S]*again"):
        source(root).load((16, 16))
    path.unlink()
    with pytest.raises(DataError, match=r"coco\.json: cannot be read as JSON \(\[Errno 2\]"):
        source(root).load((16, 16))


def test_missing_and_damaged_images(root: Path) -> None:
    (root / "images/1.png").unlink()
    (root / "images/2.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"1\.png: cannot be opened"):
        source(root).load((16, 16))
    images = source(root, on_bad_image="quarantine").load((16, 16))
    assert [item.name for item in images.quarantined] == ["1.png#0", "1.png#1", "2.png#0", "2.png#1"]
    assert len(images) == len(images.targets.arrays["mask"]) == 4


def test_identity_is_that_of_the_files_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    before, digest = fingerprint(source(root)), source(root).load((16, 16)).digest()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("images", "coco.json"):
        (root / name).rename(moved / name)
    assert fingerprint(source(moved)) == before and source(moved).load((16, 16)).digest() == digest
    assert config_of(instantiate(config_of(source(moved)))) == config_of(source(moved))
    assert source(moved, margin=1.5).load((16, 16)).digest() != digest, "another part of the picture"
    Image.fromarray(picture(70, 40, 60)).save(moved / "images/0.png")
    assert fingerprint(source(moved)) != before
    Image.fromarray(picture(0, 40, 60)).save(moved / "images/0.png")
    assert fingerprint(source(moved)) == before
    edit(moved, lambda data: data["annotations"][0].update(bbox=[4, 5, 21, 12]))
    assert fingerprint(source(moved)) != before


def test_images_read_on_demand_are_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "images/1.png").write_bytes(b"x")
    cached = source(root, on_bad_image="quarantine").load((16, 16))
    monkeypatch.setattr(files, "CACHE_BYTES", 10)
    lazy = pickle.loads(pickle.dumps(source(root, on_bad_image="quarantine").load((16, 16)))).take([5, 0])
    np.testing.assert_array_equal(lazy.images([0, 1]), cached.images([5, 0]))
    assert lazy.targets.digest() == cached.take([5, 0]).targets.digest()


def test_a_manifest_of_crops(root: Path) -> None:
    path = root / "manifest.yaml"
    Manifest.of(source(root).load((16, 16)), "made here", "none").write(path)
    source(root, manifest=str(path)).load((24, 24))
    Image.fromarray(picture(70, 40, 60)).save(root / "images/0.png")
    with pytest.raises(DataError, match=r"2 changed: 0\.png#0, 0\.png#1"):
        source(root, manifest=str(path)).load((16, 16))


def test_left_and_right_by_whole_words() -> None:
    assert mirrored_names(["nose", "bright_spot", "uprighted"]) == ()
    assert mirrored_names(["left_eye", "right_eye", "Left shoulder", "Right shoulder"]) == (1, 0, 3, 2)
    assert mirrored_names(["Leftovers", "eyeliner", "RGB", "LED", "Lower", "l", "r"]) == ()


@pytest.mark.parametrize(
    "pair",
    [
        ("leftEye", "rightEye"), ("LeftEye", "RightEye"), ("eyeLeft", "eyeRight"), ("LEFT_EYE", "RIGHT_EYE"),
        ("l_eye", "r_eye"), ("eye.L", "eye.R"), ("L eye", "R eye"), ("LEye", "REye"), ("lEar", "rEar"),
        ("eyeL", "eyeR"), ("finger1.L", "finger1.R"),
    ],
)  # fmt: skip
def test_left_and_right_as_others_write_them(pair: tuple[str, str]) -> None:
    assert mirrored_names(["nose", *pair]) == (0, 2, 1)
    with pytest.raises(DataError, match=f"'{pair[1]}'.*(.|\n)*info.keypoint_flip"):
        mirrored_names(["nose", pair[0]])


@pytest.mark.parametrize(("told", "expected"), [([2, 1, 0], (2, 1, 0)), ([], ()), (None, None)])
def test_what_the_file_says_of_mirroring_goes_before_names(
    root: Path, told: list[int] | None, expected: tuple[int, ...] | None
) -> None:
    edit(root, lambda data: data.update(info={"keypoint_flip": told}))
    assert source(root).load((16, 16)).targets.keypoint_flip == expected


@pytest.mark.parametrize("told", [[0, 1], [0, 0, 1], [0, 1, True], "none", 3])
def test_what_is_no_mirroring_is_refused(root: Path, told: Any) -> None:
    edit(root, lambda data: data.update(info={"keypoint_flip": told}))
    with pytest.raises(DataError, match=r"no permutation of 3 keypoints \(key: info\.keypoint_flip\)"):
        source(root).load((16, 16))


@pytest.mark.parametrize("options", [{"crop": "x"}, {"margin": 0.9}, {"unmapped": "x"}])
def test_arguments_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Coco("x", "y", **options)
