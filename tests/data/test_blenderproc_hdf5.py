"""BlenderProc's HDF5 files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError, MissingExtraError
from perceptransfer.data import BlenderProcHDF5, files
from tests.data.conftest import picture

CATEGORIES = {"1": "cat", "4": "dog"}


def content(i: int) -> dict[str, np.ndarray]:
    """A cat or a dog (odd) on nothing (id 0), a bit of the other one; where a ray meets nothing depth is 1e10."""
    ids = np.zeros((24, 32), np.uint8)
    ids[4:20, 5:25], ids[0, :4] = (1, 4) if i % 2 == 0 else (4, 1)
    depth = np.where(ids > 0, 0.7 + 0.1 * i, 1e10).astype(np.float32)
    return {"colors": picture(i, 24, 32), "category_id_segmaps": ids, "depth": depth}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file.create_dataset(key, data=values, compression="gzip" if values.ndim else None)
        file["blender_proc_version"] = "2.8.0"


def make_set(folder: Path) -> Path:
    for i in range(6):
        write(folder / f"{i}.hdf5", content(i))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path / "out")


def source(root: Path, **changes: Any) -> BlenderProcHDF5:
    return BlenderProcHDF5(**{"path": str(root), "categories": CATEGORIES, **changes})


def test_pictures_with_class_mask_and_depth(root: Path) -> None:
    images = source(root).load((24, 32))
    assert images.classes == ("cat", "dog") and images.labels.tolist() == [0, 1] * 3
    assert images.targets.mask_classes == ("background", "cat", "dog")
    for i in range(6):
        expected = content(i)
        np.testing.assert_array_equal(images.image(i), expected["colors"])
        classes = np.array([0, 1, 0, 0, 2])[expected["category_id_segmaps"]]
        np.testing.assert_array_equal(images.targets.arrays["mask"][i], classes)
        depth = np.where(classes > 0, np.float32(0.7 + 0.1 * i), 0)
        np.testing.assert_allclose(images.targets.arrays["depth"][i], depth)
    small = source(root).load((12, 16))
    np.testing.assert_array_equal(small.targets.arrays["mask"], images.targets.arrays["mask"][:, 1::2, 1::2])


def test_pictures_without_an_object_are_left_out(root: Path) -> None:
    write(root / "2.hdf5", {**content(2), "category_id_segmaps": np.zeros((24, 32), int)})
    assert [record.name for record in source(root).load((8, 8)).records] == [f"{i}.hdf5" for i in (0, 1, 3, 4, 5)]


def test_depth_is_read_where_all_have_it_and_alpha_is_dropped(root: Path) -> None:
    some = content(0)
    del some["depth"]
    some["colors"] = np.concatenate([some["colors"], np.full((24, 32, 1), 255, np.uint8)], -1)
    write(root / "0.hdf5", some)
    images = source(root).load((24, 32))
    assert set(images.targets.arrays) == {"mask"}
    np.testing.assert_array_equal(images.image(0), content(0)["colors"])


def test_maps_with_a_last_axis_of_one_are_maps(root: Path) -> None:
    plain = source(root).load((24, 32)).targets.digest()
    write(root / "2.hdf5", {key: it if key == "colors" else it[..., None] for key, it in content(2).items()})
    assert source(root).load((24, 32)).targets.digest() == plain


def test_far_surfaces_and_several_kinds_of_background(root: Path) -> None:
    ids = content(0)["category_id_segmaps"].astype(np.int64)
    ids[23] = 255
    write(root / "0.hdf5", {**content(0), "category_id_segmaps": ids})
    images = source(root, background=[0, 255], far=0.75).load((24, 32))
    assert not images.targets.arrays["mask"][0, 23].any()
    assert [bool(depth.any()) for depth in images.targets.arrays["depth"]] == [True, *[False] * 5]


def test_a_share_for_the_test(root: Path) -> None:
    images = source(root, test_share=0.34).load((8, 8))
    assert sorted(str(record.split) for record in images.records) == ["test"] * 2 + ["train"] * 4


def changed(**arrays: np.ndarray | None) -> dict[str, np.ndarray]:
    return {key: values for key, values in {**content(2), **arrays}.items() if values is not None}


NAN = content(2)["depth"].copy()
NAN[3, 4] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(depth=NAN), r"2\.hdf5: depth holds NaN or is negative \(key: depth\)[\s\S]*write 0"),
        (changed(depth=-content(2)["depth"]), r"2\.hdf5: depth holds NaN or is negative"),
        (changed(depth=content(2)["depth"][:-1]), r"depth is 32x23, its image 32x24"),
        (
            changed(category_id_segmaps=content(2)["category_id_segmaps"][:, 1:]),
            r"2\.hdf5: category_id_segmaps is 31x24, its image 32x24",
        ),
        (
            changed(category_id_segmaps=content(2)["category_id_segmaps"] * 7),
            r"2\.hdf5: has the unknown category ids \[7, 28\], known are \[0, 1, 4\][\s\S]*add them to background",
        ),
        (
            changed(category_id_segmaps=np.stack([content(2)["category_id_segmaps"]] * 2)),
            r"2\.hdf5: category_id_segmaps is uint8 \(2, 24, 32\), not one number a pixel",
        ),
        (changed(category_id_segmaps=np.ones(24, np.uint8)), r"category_id_segmaps is uint8 \(24,\), not one number"),
        (changed(depth=np.stack([content(2)["depth"]] * 3, -1)), r"2\.hdf5: depth is float32 \(24, 32, 3\), not one"),
        (changed(depth=content(2)["depth"][0]), r"2\.hdf5: depth is float32 \(32,\), not one number a pixel"),
        (changed(colors=None), r"2\.hdf5: has no \['colors'\], only \['blender_proc_version', 'category_id_segmaps'"),
        (changed(category_id_segmaps=None), r"has no \['category_id_segmaps'\][\s\S]*map_by category_id"),
        (changed(colors=np.stack([content(2)["colors"]] * 2)), r"uint8 \(2, 24, 32, 3\), not[\s\S]*without stereo"),
        (changed(colors=content(2)["colors"] / 255), r"colours are float64"),
    ],
)
def test_files_that_cannot_be_used(root: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    write(root / "2.hdf5", arrays)
    with pytest.raises(DataError, match=message) as caught:
        source(root).load((8, 8))
    assert caught.value.remedy


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.95])
def test_files_cut_off(root: Path, kept: float) -> None:
    whole = (root / "2.hdf5").read_bytes()
    (root / "2.hdf5").write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(ImageError, match=r"2\.hdf5: cannot be read as HDF5[\s\S]*quarantine"):
        source(root).load((8, 8))
    images = source(root, on_bad_image="quarantine").load((8, 8))
    assert [item.name for item in images.quarantined] == ["2.hdf5"]
    assert len(images) == len(images.targets.arrays["mask"]) == 5


def test_folders_without_files(tmp_path: Path, root: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="does not exist"):
        source(tmp_path / "no").load((8, 8))
    with pytest.raises(DataError, match="holds no HDF5 files"):
        source(empty).load((8, 8))
    with pytest.raises(DataError, match="no picture shows an object"):
        source(root, categories={"9": "x"}, background=[0, 1, 4]).load((8, 8))


@pytest.mark.parametrize("options", [{"categories": {}}, {"categories": {"cat": "1"}}, {"far": 0.0}])
def test_arguments_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        source(Path("x"), **options)


def test_identity_is_that_of_the_files_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    before = fingerprint(source(root))
    moved = root.rename(tmp_path / "elsewhere")
    assert fingerprint(source(moved)) == before
    assert config_of(instantiate(config_of(source(moved)))) == config_of(source(moved))
    write(moved / "3.hdf5", content(5))
    assert fingerprint(source(moved)) != before


def test_images_read_on_demand_are_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = source(root).load((12, 16))
    monkeypatch.setattr(files, "CACHE_BYTES", 10)
    lazy = source(root).load((12, 16)).take([4, 1])
    np.testing.assert_array_equal(lazy.images([0, 1]), cached.images([4, 1]))


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'h5py[\s\S]*pip install "perceptransfer\[robot\]"'):
        source(Path("x"))
