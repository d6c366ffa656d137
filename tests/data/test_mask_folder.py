"""Masks in a parallel folder."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.data import Folder, MaskFolder, files
from tests.data.conftest import picture

NAMES = [f"{part}/{kind}/{i}" for part, count in (("train", 3), ("test", 2)) for kind in "ab" for i in range(count)]


def mask_of(i: int, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[4 : 10 + i, 6:20] = 1
    mask[0, :3] = 255
    return mask


def save(values: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def make_set(folder: Path) -> Path:
    for i, name in enumerate(NAMES):
        save(picture(i, 24, 30), folder / "images" / f"{name}.jpg")
        save(mask_of(i), folder / "masks" / f"{name}.png")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_set(tmp_path)


def source(root: Path, **changes: object) -> MaskFolder:
    return MaskFolder(**{"images": str(root / "images"), "masks": str(root / "masks"), **changes})


def test_masks_stand_beside_their_images(root: Path) -> None:
    images = source(root).load((24, 30))
    assert images.classes == ("a", "b") and images.targets.mask_classes == ("background", "object")
    assert images.digest() == Folder(str(root / "images")).load((24, 30)).digest()
    for record, mask in zip(images.records, images.targets.arrays["mask"], strict=True):
        np.testing.assert_array_equal(mask, mask_of(NAMES.index(record.name.removesuffix(".jpg"))))


def test_masks_are_resized_by_the_nearest_pixel(root: Path) -> None:
    images = source(root).load((12, 10))
    index = [record.name for record in images.records].index("train/a/0.jpg")
    np.testing.assert_array_equal(images.targets.arrays["mask"][index], mask_of(0)[1::2, 1::3])


def test_cropped_and_padded_images_have_masks_to_match(root: Path) -> None:
    light = np.repeat((mask_of(0) == 1)[..., None] * np.uint8(255), 3, -1)
    save(light, root / "images/train/a/0.png")
    (root / "images/train/a/0.jpg").unlink()
    for mode in ("crop", "pad", "squash"):
        images = source(root, images=Folder(str(root / "images"), resize=mode, background=(0, 0, 0))).load((36, 36))
        index = [record.name for record in images.records].index("train/a/0.png")
        mask, seen = images.targets.arrays["mask"][index], images.image(index)[..., 0] > 127
        assert (seen == (mask == 1)).mean() > 0.95
        assert (mask[0] == 255).all() == (mode == "pad")


def test_values_of_other_tools(root: Path) -> None:
    for path in (root / "masks").rglob("*.png"):
        values = np.asarray(Image.open(path))
        save(np.where(values == 1, 255, np.where(values == 255, 7, 0)).astype(np.uint8), path)
    images = source(root, mask_classes=["ground", "edge", "hand"], mask_values=[0, 7, 255]).load((24, 30))
    expected = np.where(mask_of(4) == 1, 2, np.where(mask_of(4) == 255, 1, 0))
    index = [record.name for record in images.records].index(f"{NAMES[4]}.jpg")
    np.testing.assert_array_equal(images.targets.arrays["mask"][index], expected)
    with pytest.raises(DataError, match=r"\.png: holds the values \[7\], known are \[0, 1\][\s\S]*mask_values"):
        source(root).load((24, 30))


def test_one_bit_and_palette_masks(root: Path) -> None:
    one, palette = root / f"masks/{NAMES[0]}.png", root / f"masks/{NAMES[1]}.png"
    save(mask_of(0) == 1, one)
    indexed = Image.fromarray(mask_of(1) % 255).convert("P")
    indexed.putdata(list((mask_of(1) == 1).astype(int).ravel()))
    indexed.putpalette([0, 0, 0, 200, 10, 10])
    indexed.save(palette)
    images = source(root).load((24, 30))
    for i in range(2):
        index = [record.name for record in images.records].index(f"{NAMES[i]}.jpg")
        np.testing.assert_array_equal(images.targets.arrays["mask"][index] == 1, mask_of(i) == 1)


def test_folders_need_not_be_classes(root: Path) -> None:
    images = source(root, images=Folder(str(root / "images"), one_class="scene")).load((24, 30))
    assert images.classes == ("scene",) and images.labels.tolist() == [0] * 10
    assert {record.split for record in images.records} == {"train", "test"}
    flat = root / "flat"
    for i in range(6):
        save(picture(i), flat / "x" / f"{i}.png")
        save(mask_of(i, (24, 24)), root / "flat_masks" / f"{i}.png")
    loose = MaskFolder(Folder(str(flat / "x"), one_class="scene", test_share=0.5), str(root / "flat_masks")).load(
        (8, 8)
    )
    assert sorted(str(record.split) for record in loose.records) == ["test"] * 3 + ["train"] * 3


def test_an_image_turned_by_its_camera(root: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(picture(0, 30, 24)).save(root / "images/train/a/0.jpg", exif=turned)
    source(root).load((24, 30))  # 24 high and 30 wide as it is shown, as its mask is


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (mask_of(0, (24, 29)), r"train/a/0\.png: mask is 29x24, its image 30x24[\s\S]*size of their image"),
        (np.zeros((24, 30, 3), np.uint8), r"train/a/0\.png: is uint8 \(24, 30, 3\)[\s\S]*grey image of indices"),
        (np.full((24, 30), 2, np.uint8), r"holds the values \[2\]"),
        (np.full((24, 30), 300, np.uint16), r"holds the values \[300\]"),
        (None, r"train/a/0\.png: image has no mask[\s\S]*of its name"),
        (b"\x89PNG no image", r"train/a/0\.png: cannot be read"),
    ],
)
def test_masks_that_cannot_be_used(root: Path, mask: np.ndarray | bytes | None, message: str) -> None:
    path = root / "masks/train/a/0.png"
    path.unlink()
    if isinstance(mask, bytes):
        path.write_bytes(mask)
    elif mask is not None:
        save(mask, path)
    with pytest.raises(DataError, match=message):
        source(root).load((12, 15))


def test_a_mask_cut_off(root: Path) -> None:
    path = root / "masks/train/a/0.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"0\.png: cannot be read"):
        source(root).load((12, 15))


def test_images_in_quarantine_need_no_mask(root: Path) -> None:
    (root / "images/train/a/0.jpg").write_bytes(b"")
    with pytest.raises(ImageError):
        source(root).load((12, 15))
    images = source(root, images=Folder(str(root / "images"), on_bad_image="quarantine")).load((12, 15))
    assert len(images) == len(images.targets.arrays["mask"]) == 9 and len(images.quarantined) == 1


def test_identity_is_that_of_images_and_masks_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    before = fingerprint(source(root))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for part in ("images", "masks"):
        (root / part).rename(moved / part)
    assert fingerprint(source(moved)) == before
    assert config_of(instantiate(config_of(source(moved)))) == config_of(source(moved))
    save(mask_of(9), moved / "masks/train/a/0.png")
    assert fingerprint(source(moved)) != before
    save(mask_of(0), moved / "masks/train/a/0.png")
    save(picture(77, 24, 30), moved / "images/train/a/0.jpg")
    assert fingerprint(source(moved)) != before


def test_images_read_on_demand_keep_their_masks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = source(root).load((12, 15))
    monkeypatch.setattr(files, "CACHE_BYTES", 10)
    lazy = pickle.loads(pickle.dumps(source(root).load((12, 15))))
    np.testing.assert_array_equal(lazy.images(range(10)), cached.images(range(10)))
    assert lazy.targets.digest() == cached.targets.digest() and lazy.digest() == cached.digest()


@pytest.mark.parametrize("options", [{"mask_values": [0, 0]}, {"mask_values": [0]}, {"mask_values": [0, 256]}])
def test_values_that_do_not_fit(options: dict) -> None:
    with pytest.raises(ConfigError, match="mask_values"):
        MaskFolder("images", "masks", **options)


def test_missing_folders(root: Path) -> None:
    with pytest.raises(DataError, match="folder does not exist"):
        source(root, masks=str(root / "no")).load((12, 15))


def test_real_hands_and_their_masks(shared_data: Path) -> None:
    root = shared_data / "hands_real_rps"
    images = MaskFolder(str(root / "images"), str(root / "masks"), ["background", "hand"]).load((32, 48))
    masks = images.targets.arrays["mask"]
    assert len(images) == 2188 and set(np.unique(masks)) == {0, 1}
    assert 0.1 < masks.mean() < 0.4
    green = images.images(range(0, 2188, 20)).astype(int)
    tint = green[..., 1] - green[..., 0]
    assert tint[masks[::20] == 0].mean() > tint[masks[::20] == 1].mean() + 20, "the table is green, the hand is not"
