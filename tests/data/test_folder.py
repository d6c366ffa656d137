"""Own folders: layouts, splits, class maps, bad input."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, FractionError, ImageError, LeakageError
from perceptransfer.data import Folder, ImageSet, UnlabeledFolder, files

Make = Callable[[str, Mapping[str, int]], Path]
SIZE = (16, 16)


def parts(images: ImageSet) -> Counter[tuple[str | None, str]]:
    return Counter((record.split, images.classes[record.label or 0]) for record in images.records)


def test_train_val_and_test_folders(real: Path) -> None:
    images = Folder(str(real)).load(SIZE)
    assert images.classes == ("a", "b")
    assert parts(images) == {
        ("train", "a"): 20, ("train", "b"): 10, ("val", "a"): 4, ("val", "b"): 2, ("test", "a"): 6, ("test", "b"): 6,
    }  # fmt: skip
    assert images.records[0].name == "test/a/000.png"
    assert images.image(0).shape == (16, 16, 3)


def test_other_names_of_the_parts_and_files_that_are_no_images(folder: Make) -> None:
    root = folder("x", {"training/a": 1, "training/b": 1, "valid/a": 1, "valid/b": 1, "Test/a/deep": 1, "Test/b": 1})
    (root / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.png").write_bytes(b"no image")
    assert {record.split for record in Folder(str(root)).load(SIZE).records} == {"train", "val", "test"}


def test_linked_folders_are_read_and_a_link_to_above_is_not_entered(real: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for part in ("train", "val", "test"):
        (linked / part).symlink_to(real / part)
    (real / "train" / "a" / "loop").symlink_to(real)
    assert Folder(str(linked)).load(SIZE).digest() == Folder(str(real)).load(SIZE).digest()
    assert len(Folder(str(real)).load(SIZE)) == 48


def test_a_random_split_is_stratified_and_repeatable(folder: Make) -> None:
    root = str(folder("x", {"a": 40, "b": 20}))
    images = Folder(root, test_share=0.25, val_share=0.1).load(SIZE)
    assert parts(images) == {
        ("train", "a"): 26, ("train", "b"): 13, ("val", "a"): 4, ("val", "b"): 2, ("test", "a"): 10, ("test", "b"): 5,
    }  # fmt: skip
    assert images.digest() == Folder(root, test_share=0.25, val_share=0.1).load(SIZE).digest()
    assert images.digest() != Folder(root, test_share=0.25, val_share=0.1, split_seed=1).load(SIZE).digest()


def test_a_split_by_group(folder: Make, tmp_path: Path) -> None:
    root = folder("x", {f"{c}/scene{i}": 3 for c in "ab" for i in range(6)})
    by_pattern = Folder(str(root), group_pattern=r"(scene\d)").load(SIZE)
    table = tmp_path / "groups.csv"
    rows = [f"{record.name},{record.name.split('/')[1]}" for record in by_pattern.records]
    table.write_text("\n".join(["file,session", *rows]))
    by_table = Folder(str(root), groups_csv=str(table), group_column="session").load(SIZE)
    assert by_table.records == by_pattern.records
    split_of = {}
    for record in by_pattern.records:
        assert split_of.setdefault(record.group, record.split) == record.split
    assert Counter(split_of.values()) == {"train": 4, "test": 2}


def test_a_table_of_groups_counts_by_its_content(folder: Make, tmp_path: Path) -> None:
    root, tables = str(folder("x", {"a": 2, "b": 2})), [tmp_path / f"{i}.csv" for i in range(3)]
    for table, group in zip(tables, "sst", strict=True):
        table.write_text(f"file,group\na/0.png,{group}\n")
    one, same, other = (fingerprint(Folder(root, groups_csv=str(table))) for table in tables)
    assert one == same and len({one, other, fingerprint(Folder(root))}) == 3
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        fingerprint(Folder(root, groups_csv=str(tmp_path / "none.csv")))


def test_a_group_in_train_and_in_test_is_a_leak(folder: Make) -> None:
    root = folder("x", {f"{part}/{c}/{scene}": 1 for part, scene in (("train", "s1"), ("test", "s1")) for c in "ab"})
    with pytest.raises(LeakageError, match=r"group 's1' stands in test .* and in train"):
        Folder(str(root), group_pattern=r"(s\d)").load(SIZE)


def test_class_maps_join_rename_and_drop(folder: Make) -> None:
    root = str(folder("x", {"00000": 2, "01110": 3, "11100": 4, "01101": 5}))
    by_folder = {"00000": "0", "01110": "3", "11100": "3"}
    by_class = {"0": ["00000"], "3": ["01110", "11100"]}
    sets = [Folder(root, "random", class_map=m, unmapped="drop").load(SIZE) for m in (by_folder, by_class)]
    assert sets[0].classes == ("0", "3")
    assert np.bincount(sets[0].labels).tolist() == [2, 7]
    assert sets[0].digest() == sets[1].digest()
    with pytest.raises(ConfigError, match=r"class folders \['01101'\].*class_map[\s\S]*drop"):
        Folder(root, class_map=by_folder).load(SIZE)
    with pytest.raises(ConfigError, match=r"no class folders \['1110'\]; it has .*[\s\S]*quote"):
        Folder(root, class_map={"0": ["1110"]}, unmapped="drop").load(SIZE)
    with pytest.raises(ConfigError, match="two classes"):
        Folder(root, class_map={"0": ["00000"], "1": ["00000"]}, unmapped="drop").load(SIZE)


def test_unlabeled_images_lie_anywhere(folder: Make) -> None:
    root = folder("x", {"some/where": 2, ".": 3})
    images = UnlabeledFolder(str(root)).load(SIZE)
    assert len(images) == 5
    assert all(record.label is record.split is record.group is None for record in images.records)


def test_quarantine_lists_what_cannot_be_read(real: Path) -> None:
    whole = (real / "train/a/000.png").read_bytes()
    (real / "train/a/000.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"train/a/000\.png[\s\S]*quarantine"):
        Folder(str(real)).load(SIZE)
    images = Folder(str(real), on_bad_image="quarantine").load(SIZE)
    assert [item.name for item in images.quarantined] == ["train/a/000.png"]
    assert "cannot be read" in images.quarantined[0].reason
    assert len(images) == 47
    assert "train/a/000.png" not in [record.name for record in images.records]
    index = [record.name for record in images.records].index("train/a/001.png")
    expected = Image.open(real / "train/a/001.png").resize((16, 16), Image.Resampling.BOX)
    np.testing.assert_allclose(images.image(index), np.asarray(expected), atol=1)


def test_a_class_lost_to_quarantine_is_an_error(folder: Make) -> None:
    root = folder("x", {"a": 4, "b": 4})
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of the classes \['b'\]"):
        Folder(str(root), "random", on_bad_image="quarantine").load(SIZE)
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the images can be read"):
        UnlabeledFolder(str(root), on_bad_image="quarantine").load(SIZE)


def test_images_too_many_for_memory_are_read_on_demand(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (real / "train/a/003.png").write_bytes(b"")
    cached = Folder(str(real), on_bad_image="quarantine").load(SIZE)
    monkeypatch.setattr(files, "CACHE_BYTES", 1000)
    lazy = pickle.loads(pickle.dumps(Folder(str(real), on_bad_image="quarantine").load(SIZE)))
    assert lazy.digest() == cached.digest()
    np.testing.assert_array_equal(lazy.images(range(47)), cached.images(range(47)))
    (real / lazy.records[0].name).unlink()
    with pytest.raises(ImageError, match="cannot be opened"):
        lazy.image(0)


def test_a_set_does_not_depend_on_where_it_lies(real: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    before, source = Folder(str(real)).load(SIZE).digest(), Folder(str(real))
    identity = fingerprint(source)
    real.rename(moved)
    assert Folder(str(moved)).load(SIZE).digest() == before
    assert fingerprint(Folder(str(moved))) == identity
    (moved / "train/a/000.png").write_bytes((moved / "train/b/000.png").read_bytes())
    assert Folder(str(moved)).load(SIZE).digest() != before
    assert fingerprint(Folder(str(moved))) != identity
    assert Folder(str(moved)).load((8, 8)).digest() != Folder(str(moved)).load(SIZE).digest()
    assert Folder(str(moved), resize="crop").load(SIZE).digest() != Folder(str(moved)).load(SIZE).digest()


def test_configuration_round_trip() -> None:
    source = Folder("some/path", class_map={"1": ["x", "y"]}, background=(1, 2, 3))
    assert config_of(instantiate(config_of(source))) == config_of(source)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, r"folder does not exist[\s\S]*remedy"),
        ({"a": 0, "b": 0}, "holds no images"),
        ({"a": 3}, r"only one class, \['a'\]"),
        ({"a": 3, "b": 0}, r"x/b: class folder holds no images"),
        ({"a": 3, ".": 1, "b": 3}, r"000\.png: image lies outside a class folder[\s\S]*UnlabeledFolder"),
        ({"train/a": 3, "test/a": 3}, "only one class"),
        ({"train/a": 1, "train/b": 1, "other": 1}, r"split folders \['train'\] beside \['other'\]"),
        ({"train": 2, "test": 2}, "image lies outside a class folder"),
    ],
)
def test_layouts_that_are_none(counts: dict[str, int], message: str, folder: Make, tmp_path: Path) -> None:
    folder("x", counts)
    with pytest.raises(DataError, match=message):
        Folder(str(tmp_path / "x")).load(SIZE)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(DataError, match="is a file"):
        Folder(str(tmp_path / "x")).load(SIZE)
    with pytest.raises(DataError, match="does not exist"):
        UnlabeledFolder(str(tmp_path / "y")).load(SIZE)


def test_groups_that_cannot_be_found(real: Path, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    with pytest.raises(DataError, match="groups_csv"):
        Folder(str(real), groups_csv=str(table)).load(SIZE)
    table.write_text("file,session\ntrain/a/000.png,1\n")
    with pytest.raises(DataError, match=r"columns file and group, has \['file', 'session'\]"):
        Folder(str(real), groups_csv=str(table)).load(SIZE)
    with pytest.raises(DataError, match="no group for 47 files, first test/a/000"):
        Folder(str(real), groups_csv=str(table), group_column="session").load(SIZE)
    with pytest.raises(DataError, match="does not match"):
        Folder(str(real), group_pattern="(scene)").load(SIZE)
    with pytest.raises(ConfigError, match="regular expression"):
        Folder(str(real), group_pattern="(").load(SIZE)
    with pytest.raises(ConfigError, match="no parenthesis"):
        Folder(str(real), group_pattern="a").load(SIZE)


def test_arguments_that_contradict_each_other(folder: Make) -> None:
    root = str(folder("x", {"a": 9, "b": 9}))
    with pytest.raises(ConfigError, match="split by group needs"):
        Folder(root, "group")
    with pytest.raises(ConfigError, match="not both"):
        Folder(root, group_pattern="(a)", groups_csv="x.csv")
    with pytest.raises(DataError, match="no train, val or test folders"):
        Folder(root, "subfolders").load(SIZE)
    with pytest.raises(FractionError):
        Folder(root, test_share=1.0).load(SIZE)
    for options in ({"split": "x"}, {"unmapped": "x"}, {"on_bad_image": "x"}, {"resize": "x"}, {"background": (0, 0)}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            Folder(root, **options)


@pytest.mark.parametrize(
    ("path", "splits", "classes"),
    [
        ("hands_real_count/images", {"train": 1012, "val": 198, "test": 508}, 6),
        ("hands_real_rps/images", {"train": 1343, "val": 196, "test": 649}, 3),
        ("mnist_real/images", {"train": 3000, "test": 2000}, 10),
    ],
)
def test_real_sets_with_split_folders(shared_data: Path, path: str, splits: dict[str, int], classes: int) -> None:
    images = Folder(str(shared_data / path)).load((8, 8))
    assert Counter(record.split for record in images.records) == splits
    assert len(images.classes) == classes


def test_rendered_finger_states_map_to_counts(shared_data: Path) -> None:
    class_map: dict[str, str | list[str]] = {
        "0": ["00000"], "1": ["01000"], "2": ["01100"], "3": ["01110", "11100", "00111"], "4": ["01111"],
        "5": ["11111"],
    }  # fmt: skip
    source = Folder(str(shared_data / "hands_synth_fingers/crops"), class_map=class_map, unmapped="drop")
    images = source.load((8, 8))
    assert np.bincount(images.labels).tolist() == [160, 160, 160, 480, 160, 160]


def test_recording_sessions_of_the_real_set_do_not_cross_the_split(shared_data: Path) -> None:
    root = shared_data / "hands_real_count"
    source = Folder(str(root / "images"), groups_csv=str(root / "manifest.csv"), group_column="session")
    images = source.load((8, 8))
    assert len({record.group for record in images.records if record.split == "test"}) == 5
