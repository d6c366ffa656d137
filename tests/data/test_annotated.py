"""Sets as `render` writes them: read directly, through COCO, and through BOP, the labels are the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, fingerprint, identity_of, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.data import Annotated, Bop, Coco, ImageSet, TransferData
from perceptransfer.render import export_bop, export_coco
from perceptransfer.render.run import render
from tests.scenes import small_table

SIZE = (24, 24)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotated") / "set"
    render(small_table(), folder, 12, seed=3, options={"smooth": False, "shadow_rays": 0})
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "set"))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "annotations.jsonl").read_text().splitlines()]


def edit(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = rows_of(folder)
    change(rows)
    (folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def by_name(images: ImageSet, key: str) -> dict[str, np.ndarray]:
    return {record.name: images.targets.arrays[key][i] for i, record in enumerate(images.records)}


def test_all_labels_are_read(made: Path) -> None:
    images, rows = Annotated(str(made)).load(SIZE), rows_of(made)
    assert images.classes == ("ball", "block", "can", "pill") and len(images) == 12
    assert images.targets.mask_classes == ("background", "ball", "block", "can", "pill")
    for i, row in enumerate(rows):
        assert images.records[i].name == row["file"] and images.records[i].sha256 == row["sha256"]
        assert images.classes[images.records[i].label or 0] == row["label"] and images.records[i].group == row["group"]
        np.testing.assert_array_equal(images.targets.arrays["mask"][i], np.asarray(Image.open(made / row["mask"])))
        depth = np.asarray(Image.open(made / row["depth"])) * row["depth_scale"]
        np.testing.assert_allclose(images.targets.arrays["depth"][i], depth, rtol=1e-6)
        keypoints = np.array(row["keypoints"])
        np.testing.assert_allclose(images.targets.arrays["keypoints"][i, : len(keypoints)], keypoints, atol=1e-4)


def test_the_mask_of_an_image_s_own_class(made: Path) -> None:
    every, own = (Annotated(str(made), mask=mask).load(SIZE) for mask in ("classes", "label"))
    assert own.targets.mask_classes == ("background", "object")
    for i, record in enumerate(every.records):
        wanted = every.targets.arrays["mask"][i] == every.targets.mask_classes.index(every.classes[record.label or 0])
        np.testing.assert_array_equal(own.targets.arrays["mask"][i], wanted)


def test_masks_that_do_not_know_the_image_s_class_are_refused(folder: Path) -> None:
    about = json.loads((folder / "dataset.json").read_text())
    about["mask_classes"] = ["background", "a", "b", "c", "d"]
    (folder / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match=r"no classes .*mask_classes"):
        Annotated(str(folder), mask="label").load(SIZE)


def test_labels_move_with_the_size(made: Path) -> None:
    whole, half = (Annotated(str(made)).load(size) for size in (SIZE, (12, 8)))
    np.testing.assert_array_equal(half.targets.arrays["mask"], whole.targets.arrays["mask"][:, 1::2, 1::3])
    np.testing.assert_array_equal(half.targets.arrays["depth"], whole.targets.arrays["depth"][:, 1::2, 1::3])
    before, after = whole.targets.arrays["keypoints"], half.targets.arrays["keypoints"]
    known = before[..., 2] > 0
    np.testing.assert_allclose(after[known][:, :2], (before[known][:, :2] + 0.5) / (3, 2) - 0.5, atol=1e-4)
    np.testing.assert_array_equal(after[..., 2], before[..., 2])


def test_canonical_depth_is_that_of_a_camera_of_one_focal_length(folder: Path) -> None:
    edit(folder, lambda rows: rows[0].update(K=[[30.0, 0, 0], [0, 120.0, 0], [0, 0, 1]]))  # 60 over both axes
    plain = by_name(Annotated(str(folder)).load(SIZE), "depth")
    images = Annotated(str(folder), canonical_focal_px=90.0).load(SIZE)
    name, other = rows_of(folder)[0]["file"], rows_of(folder)[1]
    canonical = by_name(images, "depth")
    np.testing.assert_allclose(canonical[name], plain[name] * 1.5, rtol=1e-6)
    own = np.sqrt(other["K"][0][0] * other["K"][1][1])
    np.testing.assert_allclose(canonical[other["file"]], plain[other["file"]] * (90 / own), rtol=1e-6)
    # Half as many pixels, half the focal length in pixels.
    small = by_name(Annotated(str(folder), canonical_focal_px=90.0).load((12, 12)), "depth")
    assert small[name].max() == pytest.approx(2 * canonical[name].max(), rel=0.1)
    assert images.targets.take([0]).canonical_focal_px == 90


@pytest.mark.parametrize("matrix", [None, [[1.0]], [[0.0, 0, 0], [0, 5.0, 0]], "K"])
def test_canonical_depth_needs_the_camera(folder: Path, matrix: object) -> None:
    edit(folder, lambda rows: rows[3].update(K=matrix))
    assert len(Annotated(str(folder)).load(SIZE)) == 12
    with pytest.raises(DataError, match=r"camera matrix.*annotations\.jsonl.*|annotations\.jsonl.*camera matrix"):
        Annotated(str(folder), canonical_focal_px=90.0).load(SIZE)
    with pytest.raises(ConfigError, match="canonical_focal_px"):
        Annotated(str(folder), canonical_focal_px=0.0)


def test_two_meanings_of_depth_are_not_mixed(made: Path) -> None:
    metres, canonical = (Annotated(str(made), test_share=0.3, canonical_focal_px=f) for f in (None, 90.0))
    with pytest.raises(DataError, match="canonical_focal_px"):
        TransferData(synthetic=canonical, real=metres, size=SIZE, leakage="off").prepare(0)
    unknown = Annotated(str(made), labels=["mask"], test_share=0.3)
    assert TransferData(synthetic=canonical, real=unknown, size=SIZE, leakage="off").prepare(0)
    assert TransferData(synthetic=canonical, real=canonical, size=SIZE, leakage="off").prepare(0)


def test_choices_of_classes_kinds_splits_and_counts(folder: Path) -> None:
    edit(folder, lambda rows: [row.update(split="train" if i % 3 else "test") for i, row in enumerate(rows)])
    some = Annotated(str(folder), classes=["pill", "ball"], labels=["mask"]).load(SIZE)
    assert some.classes == ("pill", "ball") and set(some.targets.arrays) == {"mask"} and len(some) == 6
    assert len(Annotated(str(folder), split=["test"]).load(SIZE)) == 4
    few = Annotated(str(folder), count=6).load(SIZE)
    assert sorted(np.bincount(few.labels)) == [1, 1, 2, 2]
    assert few.digest() == Annotated(str(folder), count=6).load(SIZE).digest()
    assert len(Annotated(str(folder), count=100).load(SIZE)) == 12


def test_a_share_for_the_test_takes_whole_groups_of_sets_without_splits(folder: Path) -> None:
    shared = Annotated(str(folder), test_share=0.34)
    records = shared.load(SIZE).records
    by_group = {record.group: {other.split for other in records if other.group == record.group} for record in records}
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {record.split for record in records} == {"train", "test"}
    assert [record.split for record in records] == [record.split for record in shared.load(SIZE).records]
    assert fingerprint(Annotated(str(folder), test_share=None)) == fingerprint(Annotated(str(folder)))
    assert "test_share" not in identity_of(Annotated(str(folder)))["init_args"]
    edit(folder, lambda rows: [row.update(split="train") for row in rows])
    assert {record.split for record in Annotated(str(folder), test_share=0.34).load(SIZE).records} == {"train"}


def test_grey_pictures_have_the_same_labels(made: Path) -> None:
    colour, grey = Annotated(str(made)).load(SIZE), Annotated(str(made), grey=True).load(SIZE)
    pixels = grey.images(range(12))
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels[..., 0] - colour.images(range(12)) @ [0.299, 0.587, 0.114]).max() <= 0.5 + 1e-9
    assert grey.targets.digest() == colour.targets.digest() and grey.digest() != colour.digest()


def test_the_same_labels_through_coco(folder: Path) -> None:
    coco = Coco(str(folder), str(export_coco.export(folder)), crop="none", smallest=0.0).load(SIZE)
    direct = Annotated(str(folder)).load(SIZE)
    assert coco.targets.mask_classes == direct.targets.mask_classes
    masks = by_name(direct, "mask")
    for name, mask in by_name(coco, "mask").items():
        np.testing.assert_array_equal(mask, masks[name])
    # A picture of crops shows one object in full; in most of them it is also the largest.
    classes = {record.name: direct.classes[record.label or 0] for record in direct.records}
    same = [record.name for record in coco.records if coco.classes[record.label or 0] == classes[record.name]]
    assert len(same) >= 9
    truth, found = by_name(direct, "keypoints"), by_name(coco, "keypoints")
    for name in same:
        seen = truth[name][0, :, 2] > 0
        np.testing.assert_allclose(found[name][0][seen, :2], truth[name][0][seen, :2], atol=1e-3)
        np.testing.assert_array_equal(found[name][0, :, 2], truth[name][0, :, 2])


def test_the_same_labels_through_bop(folder: Path, tmp_path: Path) -> None:
    place = export_bop.export(folder)
    rows = rows_of(folder)
    points = {str(number): [[0, 0, 0]] for number in (1, 2, 3, 4)}  # primitives differ in size; all have a middle
    (tmp_path / "points.json").write_text(json.dumps(points))
    reader = Bop(str(place / "train"), keypoints=str(tmp_path / "points.json"), min_visible=0.3, margin=1.0)
    images, cameras = reader.load((48, 48)), reader.cameras((48, 48))
    assert len(images) >= 12
    for i, record in enumerate(images.records):
        number, which = int(record.name.split("/")[-1].split(".")[0]), int(record.name.split("#")[1])
        row, one = rows[number], rows[number]["objects"][which]
        assert images.classes[record.label or 0] == str(1 + ["ball", "block", "can", "pill"].index(one["class"]))
        flat = cameras[record.name] @ one["t"]
        np.testing.assert_allclose(images.targets.arrays["keypoints"][i, 0, 0, :2], flat[:2] / flat[2], atol=2e-2)
        mask, depth = images.targets.arrays["mask"][i], images.targets.arrays["depth"][i]
        assert (mask == 1).any() and 0.2 < depth[mask == 1].mean() < 3
        assert abs(np.median(depth[mask == 1]) - one["t"][2]) < 0.15, row["file"]


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / "dataset.json").unlink(), r"dataset\.json: is no description of format 1"),
    (lambda f: (f / "dataset.json").write_text('{"format": 2, "classes": ["a"]}'), r"format 1 \(format 2"),
    (lambda f: (f / "annotations.jsonl").unlink(), r"annotations\.jsonl: cannot be read"),
    (
        lambda f: (f / "annotations.jsonl").write_text((f / "annotations.jsonl").read_text() + '{"file": "x'),
        r"annotations\.jsonl: line 13 is damaged",
    ),
    (lambda f: edit(f, lambda rows: rows[3].pop("label")), r"line 4 is damaged \('label'\)"),
    (lambda f: edit(f, lambda rows: rows[3].pop("depth_scale")), r"images/000003\.png has the depth_scale None"),
    (lambda f: edit(f, lambda rows: rows[3].update(depth_scale=-1)), r"has the depth_scale -1"),
    (
        lambda f: edit(f, lambda rows: rows[3].update(keypoints=[[1, 2, 2]])),
        r"000003\.png are no \[A\]\[K\]\[x, y, v\]",
    ),
    (lambda f: edit(f, lambda rows: rows[3].update(keypoints=[[[1, 2]], [[1]]])), r"are no \[A\]\[K\]\[x, y, v\]"),
    (
        lambda f: edit(f, lambda rows: rows[3].update(keypoints=[[[1, 2, 2]]])),
        r"000003\.png has 1 keypoints, dataset\.json names 9",
    ),
    (
        lambda f: edit(f, lambda rows: rows[3].update(keypoints=[[[1, 2, 3]] * 9])),
        r"000003\.png are no .* v = 0, 1 or 2",
    ),
    (
        lambda f: edit(f, lambda rows: rows.append({**rows[3], "label": "can"})),
        r"annotations\.jsonl: images/000003\.png stands in two rows",
    ),
    (
        lambda f: edit(f, lambda rows: rows[3].update(label="cube")),
        r"dataset\.json: does not name the classes \['cube'\]",
    ),
    (
        lambda f: edit(f, lambda rows: rows[3].update(keypoints=[[[float("nan"), 2, 2]] * 9])),
        r"keypoints of images/000003\.png holds NaN",
    ),
    (lambda f: Image.new("L", (24, 23)).save(f / "masks/000003.png"), r"masks/000003\.png: mask is 24x23, its image"),
    (
        lambda f: Image.new("RGB", SIZE).save(f / "masks/000003.png"),
        r"masks/000003\.png: is uint8 \(24, 24, 3\), not one",
    ),
    (
        lambda f: Image.new("L", SIZE, 9).save(f / "masks/000003.png"),
        r"mask of images/000003\.png holds class 9, there",
    ),
    (lambda f: Image.new("I;16", SIZE, 300).save(f / "masks/000003.png"), r"masks/000003\.png: holds the value 300"),
    (lambda f: (f / "depth/000003.png").write_bytes(b"x"), r"depth/000003\.png: cannot be read"),
    (lambda f: (f / "masks/000003.png").unlink(), r"masks/000003\.png: cannot be read"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[str(i) for i in range(len(DAMAGE))])
def test_damage_is_named(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message):
        Annotated(str(folder)).load((12, 12))


def test_kinds_that_some_rows_lack(folder: Path) -> None:
    edit(folder, lambda rows: rows[3].pop("depth"))
    assert set(Annotated(str(folder)).load(SIZE).targets.arrays) == {"mask", "keypoints"}
    with pytest.raises(DataError, match=r"1 rows have no depth, first images/000003\.png"):
        Annotated(str(folder), labels=["depth"]).load(SIZE)
    with pytest.raises(ConfigError, match="unknown kinds"):
        Annotated(str(folder), labels=["normals"])
    with pytest.raises(ConfigError, match="count"):
        Annotated(str(folder), count=0)
    with pytest.raises(DataError, match="no row is left"):
        Annotated(str(folder), classes=["cube"]).load(SIZE)


def test_images_in_quarantine_need_no_labels(folder: Path) -> None:
    (folder / "images/000003.png").write_bytes(b"x")
    (folder / "masks/000003.png").unlink()
    with pytest.raises(ImageError, match=r"000003\.png"):
        Annotated(str(folder)).load(SIZE)
    images = Annotated(str(folder), on_bad_image="quarantine").load(SIZE)
    assert len(images) == len(images.targets.arrays["mask"]) == 11


def test_identity_is_that_of_rows_and_files_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(Annotated(str(folder)))
    moved = folder.rename(tmp_path / "elsewhere")
    assert fingerprint(Annotated(str(moved))) == before
    assert config_of(instantiate(config_of(Annotated(str(moved))))) == config_of(Annotated(str(moved)))
    Image.new("L", SIZE).save(moved / "masks/000003.png")
    changed = fingerprint(Annotated(str(moved)))
    edit(moved, lambda rows: rows[0].update(label="pill"))
    assert len({before, changed, fingerprint(Annotated(str(moved)))}) == 3


@pytest.mark.parametrize("name", ["images/000003.png", "masks/000003.png", "dataset.json", "annotations.jsonl"])
def test_a_set_that_lacks_a_file_has_no_identity(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        fingerprint(Annotated(str(folder)))


@pytest.mark.parametrize(("told", "expected"), [(None, None), ([], ()), ([*range(1, 9), 0], (*range(1, 9), 0))])
def test_mirroring_is_read_and_survives_the_way_through_coco(
    folder: Path, told: list[int] | None, expected: tuple[int, ...] | None
) -> None:
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "keypoint_flip": told}))
    assert Annotated(str(folder)).load(SIZE).targets.keypoint_flip == expected
    coco = Coco(str(folder), str(export_coco.export(folder)), crop="none", smallest=0.0)
    assert coco.load(SIZE).targets.keypoint_flip == expected


def test_classes_are_joined_and_dropped(made: Path) -> None:
    source = Annotated(str(made), class_map={"round": ["ball", "pill"], "can": "can"})
    images, rows = source.load(SIZE), rows_of(made)
    kept = [row for row in rows if row["label"] != "block"]
    assert images.classes == ("can", "round")
    assert [record.name for record in images.records] == [row["file"] for row in kept]
    assert [images.classes[i] for i in images.labels] == ["can" if r["label"] == "can" else "round" for r in kept]
    np.testing.assert_array_equal(images.targets.arrays["mask"][0], np.asarray(Image.open(made / kept[0]["mask"])))
    assert fingerprint(source) != fingerprint(Annotated(str(made)))


def test_own_class_masks_show_the_class_before_it_was_renamed(made: Path) -> None:
    """A swap of names is the worst case: every mask would be that of another object."""
    swap = {"ball": "can", "can": "ball"}
    plain, swapped = (
        Annotated(str(made), mask="label", classes=["ball", "can"], class_map=names).load(SIZE)
        for names in (None, swap)
    )
    assert [swapped.classes[i] for i in swapped.labels] == [swap[plain.classes[i]] for i in plain.labels]
    assert swapped.targets.digest() == plain.targets.digest()
    joined = Annotated(str(made), mask="label", class_map={"round": ["ball", "can"]}).load(SIZE)
    assert joined.targets.digest() == plain.targets.digest()


def test_keypoints_out_of_the_picture_are_not_labelled(folder: Path) -> None:
    points = [[[float(x), 2.0, 2] for x in (-1, 0, 23, 24, 30, 5, 6, 7, 8)]]
    edit(folder, lambda rows: rows[3].update(keypoints=points))
    found = by_name(Annotated(str(folder)).load(SIZE), "keypoints")["images/000003.png"]
    assert found[0, :, 2].tolist() == [0, 2, 2, 0, 0, 2, 2, 2, 2]


def test_a_class_map_of_an_absent_class_is_refused(made: Path) -> None:
    with pytest.raises(ConfigError, match="cube"):
        Annotated(str(made), class_map={"box": ["cube"]}).load(SIZE)
