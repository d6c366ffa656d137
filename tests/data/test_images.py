"""Image files of every kind, read against values computed by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.errors import ConfigError, ImageError
from perceptransfer.data.images import decode, read_bytes, resize


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes, **options: tuple[int, int, int]) -> list[int]:
    image = decode(data, "x.png", **options)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert (image == image[0, 0]).all()
    return image[0, 0].tolist()


def plain(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (4, 3), colour)


def palette(transparent: bool) -> bytes:
    image = plain("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return encode(image, transparency=1) if transparent else encode(image)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encode(plain("RGB", (1, 2, 3))), [1, 2, 3], id="rgb"),
        pytest.param(encode(plain("L", 77)), [77, 77, 77], id="grey"),
        pytest.param(encode(plain("1", 1)), [255, 255, 255], id="1-bit"),
        pytest.param(encode(plain("LA", (100, 255))), [100, 100, 100], id="grey+alpha, opaque"),
        pytest.param(encode(plain("LA", (100, 0))), [255, 255, 255], id="grey+alpha, transparent"),
        pytest.param(encode(plain("RGBA", (0, 100, 200, 51))), [204, 224, 244], id="rgba, 1/5 opaque on white"),
        pytest.param(palette(transparent=False), [10, 20, 30], id="palette"),
        pytest.param(palette(transparent=True), [255, 255, 255], id="palette, transparent"),
        pytest.param(encode(Image.fromarray(np.full((3, 4), 65535, np.uint16))), [255] * 3, id="16-bit white"),
        pytest.param(encode(Image.fromarray(np.full((3, 4), 128 * 257, np.uint16))), [128] * 3, id="16-bit middle"),
        pytest.param(encode(Image.fromarray(np.full((3, 4), 1000, np.uint16))), [4] * 3, id="16-bit dark"),
        pytest.param(encode(Image.fromarray(np.full((3, 4), 1000, np.uint16)), "TIFF"), [4] * 3, id="16-bit tiff"),
        pytest.param(encode(Image.fromarray(np.full((3, 4), 0.5, np.float32)), "TIFF"), [128] * 3, id="float tiff"),
        pytest.param(encode(plain("CMYK", (255, 0, 0, 0)), "TIFF"), [0, 255, 255], id="cmyk tiff"),
        pytest.param(encode(plain("RGB", (9, 8, 7)), "BMP"), [9, 8, 7], id="bmp"),
    ],
)
def test_every_kind_becomes_rgb(data: bytes, expected: list[int]) -> None:
    assert pixel(data) == expected


def test_cmyk_jpeg() -> None:
    got = pixel(encode(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(np.subtract(got, [255, 0, 0])).max() <= 2


def test_the_colour_under_transparent_pixels_can_be_chosen() -> None:
    assert pixel(encode(plain("RGBA", (0, 0, 0, 0))), background=(1, 2, 3)) == [1, 2, 3]


def test_sixteen_bits_keep_their_order_instead_of_being_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None]
    assert decode(encode(Image.fromarray(ramp)), "x")[0, :, 0].tolist() == list(range(256))


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation(orientation: int, turn: object) -> None:
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = decode(encode(Image.fromarray(stored), exif=exif), "x")
    np.testing.assert_array_equal(got, turn(stored))


def test_a_truncated_file_is_named(draw: object) -> None:
    photo = encode(Image.fromarray(draw(1, 64, 64)), "JPEG")
    for data in (photo[: len(photo) // 2], photo[:30], b"", b"hello, no image", encode(plain("L", 3))[:40]):
        with pytest.raises(ImageError, match=r"some/photo\.jpg.*\n.*quarantine"):
            decode(data, "some/photo.jpg")


def test_values_without_an_8_bit_meaning_are_refused() -> None:
    for values in (np.full((2, 2), 70000, np.int32), np.full((2, 2), -1, np.int32), np.full((2, 2), 1.5, np.float32)):
        with pytest.raises(ImageError, match=r"x\.tif.*outside 0\.\."):
            decode(encode(Image.fromarray(values), "TIFF"), "x.tif")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png.*cannot be opened"):
        read_bytes(tmp_path / "none.png")


def test_shrinking_averages_areas() -> None:
    image = np.array([[0, 100, 10, 30], [200, 100, 20, 40]], np.uint8)[:, :, None].repeat(3, 2)
    assert resize(image, (1, 2))[:, :, 0].tolist() == [[100, 25]]


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    image = np.array([[0], [100], [200], [100]], np.uint8)[:, :, None].repeat(3, 2)
    assert resize(image, (2, 3))[:, :, 0].tolist() == [[50] * 3, [150] * 3]


def test_a_stripe_pattern_finer_than_the_pixels_becomes_grey() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize(stripes, (16, 16)).astype(int) - 100).max() <= 1


def test_crop_keeps_the_centre_and_pad_keeps_everything() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, :2], image[:, 2:6], image[:, 6:] = 10, 20, 30
    assert (resize(image, (4, 4), "crop") == 20).all()
    padded = resize(image, (8, 8), "pad", (1, 2, 3))
    assert (padded[2:6] == image).all()
    assert (padded[:2] == (1, 2, 3)).all()
    assert (padded[6:] == (1, 2, 3)).all()
    assert resize(image, (4, 4), "squash")[0, :, 0].tolist() == [10, 20, 20, 30]


def test_impossible_sizes_and_modes_are_refused() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ConfigError, match="size"):
        resize(image, (0, 4))
    with pytest.raises(ConfigError, match="squash, crop, pad"):
        resize(image, (4, 4), "stretch")
