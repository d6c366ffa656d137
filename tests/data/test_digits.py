"""Rendered and scanned digits."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.ft2font import FT2Font
from PIL import Image
from sklearn.datasets import load_digits

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.data.digits import FontDigits, ScannedDigits
from perceptransfer.data.glyphs import digit_fonts, distance_field, draw_glyph, expose, ink_of, shows_digits

SHIPPED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PLAIN = {
    "height": 0.8, "aspect": 1.0, "rotation": 0.0, "shear": 0.0, "warp": 0.0, "stroke": 0.0, "blur": 0.0,
    "balance_x": 0.0, "balance_y": 0.0, "bend": 0.0,
    "resolution": 1.0, "background": 0.2, "foreground": 0.8, "shade": 0.0, "noise": 0.0,
}  # fmt: skip
FIXED = {name: (value, value) for name, value in PLAIN.items()} | {"shift": (0.0, 0.0)}


def ink(size: tuple[int, int] = (64, 64), shift: tuple[float, float] = (0, 0), text: str = "4", **draw: float):
    field = distance_field(draw_glyph(SHIPPED / "DejaVuSans.ttf", text, 64), 128)
    return ink_of(field, size, PLAIN | draw, np.array(shift), np.random.default_rng(0))


def centre(image: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y) from the middle of the image, in pixels."""
    y, x = np.indices(image.shape) + 0.5
    mass = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    return mass - np.array([image.shape[1], image.shape[0]]) / 2


def test_fonts_have_legible_digits():
    names = {font.stem for font in digit_fonts()}
    assert {"DejaVuSans", "STIXGeneral", "cmr10"} <= names
    assert not names & {"cmex10", "cmsy10", "LastResortHE-Regular", "STIXSizOneSymReg", "DejaVuSansDisplay"}
    for font in digit_fonts():  # the character map, read by another library
        assert {ord(digit) for digit in "0123456789"} <= set(FT2Font(str(font)).get_charmap()), font


def test_own_fonts_are_added_and_broken_files_are_passed_over(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    shutil.copy(SHIPPED / "cmtt10.ttf", tmp_path / "sub" / "own.TTF")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert not shows_digits(tmp_path / "broken.ttf")
    assert [font.name for font in digit_fonts(tmp_path)] == [font.name for font in digit_fonts()] + ["own.TTF"]
    plain, own = FontDigits(), FontDigits(font_folder=str(tmp_path))
    assert own.identity_extra() != plain.identity_extra()
    assert own.ranges()["font"][-1] == "own"
    moved = FontDigits(font_folder=str(shutil.copytree(tmp_path, tmp_path / "moved")))
    assert fingerprint(moved) == fingerprint(own) != fingerprint(plain)


@pytest.mark.parametrize("content", [None, "empty", "broken"])
def test_font_folder_without_fonts_is_refused(tmp_path: Path, content: str | None):
    folder = tmp_path / "fonts"
    if content is not None:
        folder.mkdir()
    if content == "broken":
        (folder / "broken.otf").write_bytes(b"no font")
    with pytest.raises(DataError, match="font_folder") as caught:
        FontDigits(font_folder=str(folder)).load((32, 32))
    assert str(folder) in str(caught.value)


def test_distance_field_of_a_bar_by_hand():
    field = distance_field(np.full((8, 4), 255, np.uint8), 16)
    # The bar covers rows 4..11 and columns 6..9; pixel centres lie half a pixel from its outline.
    assert field[7, 5:11].tolist() == [-0.5 / 8, 0.5 / 8, 1.5 / 8, 1.5 / 8, 0.5 / 8, -0.5 / 8]
    assert field[2:5, 7].tolist() == [-1.5 / 8, -0.5 / 8, 0.5 / 8]
    assert field[0, 3] == pytest.approx(-4.5 / 8)  # 3 columns left and 4 rows above the nearest ink: 5 to its centre


@pytest.mark.parametrize("text", ["1", "4", "8"])
@pytest.mark.parametrize("height", [0.5, 0.8])
def test_placed_glyph_keeps_its_shape(text: str, height: float):
    glyph = draw_glyph(SHIPPED / "DejaVuSans.ttf", text, 64) / 255
    image = ink(size=(64, 96), text=text, height=height)
    assert np.ptp(np.flatnonzero(image.max(axis=1) > 0.5)) + 1 == pytest.approx(64 * height, abs=2)
    assert np.ptp(np.flatnonzero(image.max(axis=0) > 0.5)) + 1 == pytest.approx(glyph.shape[1] * height, abs=2)
    assert image.sum() == pytest.approx(glyph.sum() * height**2, rel=0.08)
    box = centre(np.pad(glyph, ((0, 0), (0, 96 - glyph.shape[1]))))[0] + 48 - glyph.shape[1] / 2
    assert centre(image)[0] == pytest.approx(box * height, abs=0.7)


def test_shift_is_a_share_of_the_height():
    moved = centre(ink(shift=(0.1, -0.05), height=0.5)) - centre(ink(height=0.5))
    np.testing.assert_allclose(moved, [6.4, -3.2], atol=0.1)


def test_rotation_and_shear_act_on_the_image():
    np.testing.assert_allclose(ink(rotation=90.0, height=0.7), np.rot90(ink(height=0.7), -1), atol=0.05)
    straight, slanted = ink(text="0", height=0.7), ink(text="0", height=0.7, shear=0.25)
    rows = np.arange(15, 49)

    def middle(image: np.ndarray) -> np.ndarray:
        return (image[rows] * np.arange(64)).sum(1) / image[rows].sum(1)

    assert np.polyfit(rows, middle(slanted) - middle(straight), 1)[0] == pytest.approx(0.25, abs=0.04)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.02, 0.08), st.floats(0.005, 0.03))
def test_wider_strokes_only_add_ink(stroke: float, more: float):
    thin, thick = ink(stroke=stroke), ink(stroke=stroke + more)
    assert (thick >= thin).all()
    assert thick.sum() > thin.sum()


def test_balance_moves_the_middle_and_keeps_the_edges():
    even, uneven = ink(text="8", height=0.7), ink(text="8", height=0.7, balance_y=0.8)
    rows_even, rows_uneven = (np.flatnonzero(image.max(axis=1) > 0.5) for image in (even, uneven))
    assert abs(rows_even[0] - rows_uneven[0]) <= 1
    assert abs(rows_even[-1] - rows_uneven[-1]) <= 1
    # Image row y shows glyph row y + b (1/4 - y^2); the glyph's middle, 0, is seen at y = (1 - sqrt(1 + b^2)) / 2b.
    waist = [
        18 + int(np.argmin(np.ptp(np.where(image > 0.5, np.arange(64), 31.5), axis=1)[18:40]))
        for image in (even, uneven)
    ]
    expected = (1 - np.sqrt(1 + 0.8**2)) / (2 * 0.8) * 0.7 * 64
    assert waist[1] - waist[0] == pytest.approx(expected, abs=2)
    wide = ink(text="0", height=0.7, balance_x=0.5)
    assert centre(wide)[0] != pytest.approx(centre(ink(text="0", height=0.7))[0], abs=0.2)


def test_bend_moves_ends_against_the_middle():
    straight, bent = ink(text="0", height=0.7), ink(text="0", height=0.7, bend=0.6)
    columns = np.arange(64)
    middles = [(image * columns).sum(1) / image.sum(1).clip(1e-6) for image in (straight, bent)]
    moved = middles[1] - middles[0]
    # The sampling moves right by b (v^2 - 1/12), so the picture moves left by that many glyph heights.
    assert moved[32] == pytest.approx(0.6 / 12 * 0.7 * 64, abs=0.4)
    assert moved[12] == pytest.approx(-0.6 * ((19.5 / 44.8) ** 2 - 1 / 12) * 0.7 * 64, abs=0.8)


def test_warp_changes_shape_but_not_the_digit():
    straight, bent = ink(height=0.7), ink(height=0.7, warp=0.03)
    assert 0.02 < np.abs(straight - bent).mean() < 0.15


def exposed(image: np.ndarray, *, invert: bool = False, **draw: float) -> np.ndarray:
    return expose(image.astype(np.float32), PLAIN | draw, invert=invert, rng=np.random.default_rng(0))


def test_exposure_by_hand():
    coverage = np.zeros((32, 32))
    coverage[8:24, 8:24] = 1
    plain = exposed(coverage)
    assert plain[0, 0] == 51
    assert plain[16, 16] == 204
    assert (exposed(coverage, invert=True) == 255 - plain).all()
    noisy = exposed(np.zeros((256, 256)), noise=0.05).astype(float)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.03)
    assert noisy.mean() == pytest.approx(51, abs=0.3)
    shaded = exposed(np.zeros((32, 32)), shade=0.1).astype(float)
    assert 0.09 * 255 < np.ptp(shaded) < 0.15 * 255
    assert shaded.mean() == pytest.approx(51, abs=0.5)
    checks = np.indices((32, 32)).sum(0) % 2
    assert np.ptp(exposed(checks, resolution=0.5)) == 0  # a checkerboard is beyond half the resolution
    assert np.ptp(exposed(checks, blur=1.5).astype(int)[8:24, 8:24]) < 5
    # Blur is in pixels of a 32-pixel image: at 64 pixels the same step is twice as wide.
    small, large = np.repeat([0, 1], 16), np.repeat([0, 1], 32)
    edge32 = exposed(np.tile(small, (32, 1)), blur=1.0)[16].astype(float)
    edge64 = exposed(np.tile(large, (64, 1)), blur=1.0)[32].astype(float)
    np.testing.assert_allclose(edge64.reshape(32, 2).mean(1), edge32, atol=4)


def drawn_by_another_library(digit: str, height: int) -> np.ndarray:
    """Mean over the fonts of a digit drawn by matplotlib's FreeType binding, in the middle of 32 x 32."""
    canvases = []
    for font in digit_fonts():
        face = FT2Font(str(font))
        face.set_size(60, 72)
        face.set_text(digit)
        face.draw_glyphs_to_bitmap()
        bitmap = np.asarray(face.get_image())
        rows, columns = np.flatnonzero(bitmap.max(1)), np.flatnonzero(bitmap.max(0))
        bitmap = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scaled = Image.fromarray(bitmap).resize((round(bitmap.shape[1] * height / bitmap.shape[0]), height))
        canvas = Image.new("L", (32, 32))
        canvas.paste(scaled, ((32 - scaled.width) // 2, (32 - height) // 2))
        canvases.append(np.asarray(canvas, dtype=float))
    return np.mean(canvases, axis=0).ravel()


def test_images_show_the_digit_of_their_index():
    images = FontDigits(count=600, **FIXED).load((32, 32)).images(range(600))[..., 0].astype(float)
    rendered = np.stack([images[digit::10].mean(0).ravel() for digit in range(10)])
    reference = np.stack([drawn_by_another_library(digit, 26) for digit in "0123456789"])
    # All digits share much ink, so only what tells them apart is compared.
    alike = np.corrcoef(reference - reference.mean(0), rendered - rendered.mean(0))[:10, 10:]
    assert alike.argmax(0).tolist() == list(range(10))
    assert np.diag(alike).min() > 0.8


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 19), st.integers(0, 3))
def test_an_image_depends_on_seed_and_index_only(index: int, seed: int):
    whole = FontDigits(count=20, seed=seed).load((24, 20))
    alone = FontDigits(count=1, seed=seed).render(index, (24, 20))
    assert (whole.image(index) == alone[..., None]).all()
    assert (alone != FontDigits(count=1, seed=seed + 1).render(index, (24, 20))).any()


def test_loaded_set_is_balanced_and_named():
    loaded = FontDigits(count=50).load((32, 32))
    assert loaded.classes == tuple("0123456789")
    assert np.bincount(loaded.labels).tolist() == [5] * 10
    assert len({record.sha256 for record in loaded.records}) == 50
    assert FontDigits(count=50).load((32, 32)).digest() == loaded.digest()


@pytest.mark.parametrize("size", [(8, 8), (32, 48), (128, 96)])
def test_any_size(size: tuple[int, int]):
    source = FontDigits(count=10, **FIXED)
    loaded = source.load(size)
    assert loaded.image(0).shape == (*size, 3)
    height = np.ptp(np.flatnonzero(loaded.image(0)[..., 0].max(1) > 127)) + 1
    assert height == pytest.approx(0.8 * size[0], abs=2)


def test_inverted_share():
    bright = FontDigits(count=60, inverted=0.5, **FIXED).load((16, 16)).images(range(60))[:, 0, 0, 0]
    assert set(bright.tolist()) == {51, 204}
    assert (FontDigits(count=20, inverted=1.0, **FIXED).load((16, 16)).images(range(20))[:, 0, 0, 0] == 204).all()


def test_drawn_digits_can_stand_in_for_real_ones_and_keep_their_images():
    plain, split = FontDigits(count=20).load((16, 16)), FontDigits(count=20, test_share=0.4435).load((16, 16))
    assert [record.split for record in split.records] == ["train"] * 11 + ["test"] * 9
    assert {record.split for record in plain.records} == {None}
    assert [record.sha256 for record in split.records] == [record.sha256 for record in plain.records]


def test_ranges_name_every_randomised_argument():
    source = FontDigits(rotation=(-3.0, 4.0))
    fixed = {"self", "count", "seed", "font_folder", "test_share"}
    arguments = set(inspect.signature(FontDigits.__init__).parameters) - fixed
    assert set(source.ranges()) == arguments | {"font"}
    assert source.ranges()["rotation"] == [-3.0, 4.0]


def test_configuration_makes_the_same_source():
    source = FontDigits(count=12, blur=(0.5, 0.6), seed=3)
    again = instantiate(config_of(source))
    assert fingerprint(again) == fingerprint(source) != fingerprint(FontDigits(count=12, seed=3))
    assert again.load((16, 16)).digest() == source.load((16, 16)).digest()


@pytest.mark.parametrize(
    ("arguments", "key"), [({"count": 0}, "count"), ({"blur": (1.0, 0.5)}, "blur"), ({"inverted": 1.5}, "inverted")]
)
def test_impossible_arguments_are_refused(arguments: dict, key: str):
    with pytest.raises(ConfigError) as caught:
        FontDigits(**arguments)
    assert caught.value.key == key


def test_scanned_digits_are_scikit_learns():
    scans = load_digits()
    loaded = ScannedDigits().load((8, 8))  # unresized, so every grey level is checked
    assert len(loaded) == 1797
    np.testing.assert_allclose(loaded.images(range(1797))[..., 1], scans.images * 255 / 16, atol=0.5)
    assert (loaded.labels == scans.target).all()


def test_scanned_split_is_fixed():
    small, large = ScannedDigits().load((8, 8)), ScannedDigits().load((32, 32))
    test = [i for i, record in enumerate(large.records) if record.split == "test"]
    assert len(test) == 797
    assert [r.split for r in small.records] == [r.split for r in large.records]
    assert {record.split for record in large.records} == {"train", "test"}
    assert set(test) == set(np.random.default_rng(0).permutation(1797)[-797:].tolist())
    assert large.image(5).shape == (32, 32, 3)
    assert large.image(5).reshape(8, 4, 8, 4, 3).mean((1, 3)).max() > 200  # bright strokes on dark
    assert np.median(large.images(range(1797))) < 64
