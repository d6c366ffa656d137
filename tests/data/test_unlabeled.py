"""Photos without labels: which are read, how they are halved, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.errors import DataError, ImageError, TestDomainError
from perceptransfer.data.unlabeled import read_unlabeled


def photos(folder: Path, count: int, first: int = 0, size: tuple[int, int] = (20, 16)) -> list[str]:
    """Pictures whose grey level is their number."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i in range(first, first + count):
        names.append(f"{i:03d}.png")
        Image.new("RGB", size, (i, i, i)).save(folder / names[-1])
    return names


def levels(images: np.ndarray) -> set[int]:
    return {int(it) for it in images[:, 0, 0, 0]}


def test_halves_share_no_picture_and_follow_the_seed(tmp_path: Path) -> None:
    photos(tmp_path, 30)
    one, again, other = (read_unlabeled(tmp_path, seed=seed) for seed in (0, 0, 1))
    assert levels(one.fit) | levels(one.judge) == set(range(30)) and not levels(one.fit) & levels(one.judge)
    assert one.fit.shape == (15, 16, 20, 3) and one.left_out == 0
    np.testing.assert_array_equal(one.fit, again.fit)
    assert levels(one.fit) != levels(other.fit)
    assert len(read_unlabeled(tmp_path, count=20).fit) == 10


def test_size_is_cut_without_squeezing(tmp_path: Path) -> None:
    photos(tmp_path, 16, size=(40, 20))
    assert read_unlabeled(tmp_path, (8, 8)).fit.shape[1:] == (8, 8, 3)


def annotated(root: Path, splits: list[str | None], groups: list[str] | None = None) -> Path:
    names = photos(root / "images", len(splits))
    photos(root / "masks", 3, first=200)
    rows = []
    for i, (name, split) in enumerate(zip(names, splits, strict=True)):
        row: dict[str, object] = {"file": f"images/{name}", "label": 7, "mask": f"masks/{200 + i % 3}.png"}
        row |= {} if split is None else {"split": split}
        row |= {} if groups is None else {"group": groups[i]}
        rows.append(json.dumps(row))
    (root / "annotations.jsonl").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize("inside", ["", "images"])
def test_of_an_annotated_set_only_train_and_pictures_only(tmp_path: Path, inside: str) -> None:
    annotated(tmp_path, ["train"] * 20 + ["test"] * 5 + ["val"] * 5)
    found = read_unlabeled(tmp_path / inside)
    assert levels(found.fit) | levels(found.judge) == set(range(20))
    assert found.left_out == (13 if inside == "" else 10)  # with the three masks


def test_a_manifest_counts_as_well(tmp_path: Path) -> None:
    names = photos(tmp_path / "x", 20)
    parts = ["test"] * 3 + ["train"] * 17
    files = {f"x/{name}": {"sha256": "", "split": part} for name, part in zip(names, parts, strict=True)}
    (tmp_path / "manifest.json").write_text(json.dumps({"origin": "", "licence": "", "files": files}))
    found = read_unlabeled(tmp_path / "x")
    assert levels(found.fit) | levels(found.judge) == set(range(3, 20))


def test_folders_named_after_splits_count_as_well(tmp_path: Path) -> None:
    photos(tmp_path / "train" / "a", 16)
    photos(tmp_path / "test" / "a", 16, first=100)
    found = read_unlabeled(tmp_path)
    assert levels(found.fit) | levels(found.judge) == set(range(16))
    with pytest.raises(TestDomainError, match="test images only"):
        read_unlabeled(tmp_path / "test")


def test_a_test_split_is_refused(tmp_path: Path) -> None:
    annotated(tmp_path, ["test"] * 20)
    for place in (tmp_path / "images", tmp_path):
        with pytest.raises(TestDomainError, match="train split"):
            read_unlabeled(place)


def test_a_folder_inside_a_test_folder_is_refused(tmp_path: Path) -> None:
    for place in ("test/rock", "val/images/rock", "test"):
        photos(tmp_path / place, 20)
        with pytest.raises(TestDomainError):
            read_unlabeled(tmp_path / place)
    photos(tmp_path / "test" / "train" / "rock", 20)
    assert read_unlabeled(tmp_path / "test" / "train" / "rock").left_out == 0
    (tmp_path / "photos").symlink_to(tmp_path / "test" / "rock")
    with pytest.raises(TestDomainError):
        read_unlabeled(tmp_path / "photos")


@pytest.mark.parametrize("silent", ["manifest.json", "annotations.jsonl"])
def test_a_description_without_splits_hides_none_of_another_s(tmp_path: Path, silent: str) -> None:
    annotated(tmp_path, ["train"] * 20 + ["test"] * 5)
    rows = [json.loads(line) for line in (tmp_path / "annotations.jsonl").read_text().splitlines()]
    parts = {row["file"]: row.pop("split") for row in rows}
    files = {name: {"sha256": ""} if silent == "manifest.json" else {"split": part} for name, part in parts.items()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    if silent == "annotations.jsonl":
        (tmp_path / silent).write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_unlabeled(tmp_path / "images")
    assert levels(found.fit) | levels(found.judge) == set(range(20))


def test_a_description_is_found_however_deep_the_folder_lies(tmp_path: Path) -> None:
    deep = "images/rock/cam0/day"
    names = photos(tmp_path / deep, 25)
    (tmp_path / "images" / "manifest.json").write_text('{"name": "of some other program"}')
    rows = [{"file": f"{deep}/{name}", "split": "train" if i < 20 else "test"} for i, name in enumerate(names)]
    (tmp_path / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_unlabeled(tmp_path / deep)
    assert levels(found.fit) | levels(found.judge) == set(range(20))


def test_groups_stay_together(tmp_path: Path) -> None:
    annotated(tmp_path, [None] * 24, [f"scene {i // 4}" for i in range(24)])
    found = read_unlabeled(tmp_path / "images")
    assert not {it // 4 for it in levels(found.fit)} & {it // 4 for it in levels(found.judge)}


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_unlabeled(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        read_unlabeled(tmp_path / "empty")
    photos(tmp_path / "few", 9)
    with pytest.raises(DataError, match="collect more"):
        read_unlabeled(tmp_path / "few")
    photos(tmp_path / "bad", 20)
    (tmp_path / "bad" / "000.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"000\.png"):
        read_unlabeled(tmp_path / "bad")
    photos(tmp_path / "torn", 20)
    (tmp_path / "torn" / "annotations.jsonl").write_text("{")
    with pytest.raises(DataError, match="cannot be told"):
        read_unlabeled(tmp_path / "torn")
