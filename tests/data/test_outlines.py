"""COCO's run lengths and polygons: by hand, against pycocotools' strings and matplotlib."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from perceptransfer.data.outlines import inside, mask_of, runs, unpacked


def packed(counts: list[int]) -> str:
    """Compress as COCO's C code does."""
    text = ""
    for i, count in enumerate(counts):
        value, more = count - counts[i - 2] if i > 2 else count, True
        while more:
            group = value & 31
            value >>= 5
            more = value != (-1 if group & 16 else 0)
            text += chr((group | 32 if more else group) + 48)
    return text


def test_runs_by_hand() -> None:
    # Two rows, three columns: 0 1 1 / 0 0 1, down the columns 0 0 1 0 1 1.
    expected = [[0, 1, 1], [0, 0, 1]]
    for segmentation in ({"size": [2, 3], "counts": [2, 1, 1, 2]}, {"size": [2, 3], "counts": "2111"}):
        assert mask_of(segmentation, (2, 3)).astype(int).tolist() == expected
    assert runs([0, 6], (2, 3)).all() and not runs([6], (2, 3)).any()


def test_strings_that_pycocotools_wrote() -> None:
    mask = np.zeros((7, 9), bool)
    mask[2:5, 3:8] = mask[6, 0] = True
    np.testing.assert_array_equal(mask_of({"size": [7, 9], "counts": "61`02D00000005"}, (7, 9)), mask)
    rows, columns = np.indices((300, 200))
    disc = (rows - 150) ** 2 + (columns - 90) ** 2 < 80**2
    text = (
        "^[3i0^8:G8I6J6J6K4L4L4L4L4L4M2M4M2N2M4M2N2N2M4M2N2N2N2N2O0O2N2N2N2O0O2N2N2O0O2N2O0O2O0O2O0O2O0O2O0O2O0O2O000O2O0"
        "00O2O000O2O00000O2O0000000O2O000000000000000000000000000000000000000000000001N100000001N1000001N10001N10001N1000"
        "1N101N101N101N101N101N101N2N101N2N2N101N2N2N2N101N2N2N2N2N3L3N2N2N3L3N2N3L3N3L4L4L4L4L4L5J6J6J7H9FSe8"
    )
    np.testing.assert_array_equal(mask_of({"size": [300, 200], "counts": text}, (300, 200)), disc)


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=30))
def test_compressed_lengths_survive(counts: list[int]) -> None:
    assert unpacked(packed(counts)) == counts


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_any_mask_survives_its_run_lengths(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((5, 7)) < share
    flat = mask.T.ravel()
    counts, value = [], False
    position = 0
    while position < len(flat):
        stop = position
        while stop < len(flat) and flat[stop] == value:
            stop += 1
        counts.append(stop - position)
        position, value = stop, not value
    np.testing.assert_array_equal(runs(counts, (5, 7)), mask)
    np.testing.assert_array_equal(mask_of({"size": [5, 7], "counts": packed(counts)}, (5, 7)), mask)


def test_polygons_by_hand() -> None:
    # Pixel 2 covers 2 to 3: a box from 1 to 4 holds the pixels 1, 2 and 3.
    box = inside([1, 1, 4, 1, 4, 3, 1, 3], (4, 6))
    assert box.sum() == 6 and box[1:3, 1:4].all()
    assert inside([1.6, 1, 4, 1, 4, 3, 1.6, 3], (4, 6)).sum() == 4, "the centre of pixel 1 is outside"
    assert inside([-5, -5, 50, -5, 50, 50, -5, 50], (4, 6)).all(), "cut at the border"
    assert not inside([10, 10, 12, 10, 12, 12], (4, 6)).any()
    two = mask_of([[0, 0, 2, 0, 2, 2, 0, 2], [3, 0, 5, 0, 5, 2, 3, 2]], (4, 6))
    assert two.sum() == 8 and not two[:, 2].any()


@given(st.integers(0, 10_000), st.integers(3, 12))
def test_polygons_equal_matplotlibs(seed: int, corners: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(2, 14, corners)
    points = np.stack([11 + radii * np.cos(angles), 9 + radii * np.sin(angles)], 1)
    rows, columns = np.indices((18, 22))
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    expected = Outline(np.concatenate([points, points[:1]]), closed=True).contains_points(centres).reshape(18, 22)
    np.testing.assert_array_equal(inside(points.ravel().tolist(), (18, 22)), expected)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [2, 3], "counts": [2, 1, 1]}, "do not add up to 2 x 3"),
        ({"size": [2, 3], "counts": [7, -1]}, "do not add up"),
        ({"size": [3, 2], "counts": [6]}, r"run lengths for \[3, 2\], the image has \[2, 3\]"),
        ({"size": [2, 3], "counts": "`"}, "within a number"),
        ({"size": [2, 3], "counts": "2 1"}, "no character"),
        ({"size": [2, 3]}, "counts and size"),
        ("2112", "list of polygons"),
        ([[0, 0, 1, 1]], "three corners"),
        ([[0, 0, 1, 1, 2]], "three corners"),
        ([[0, 0, 1, 1, 2, float("nan")]], "three corners"),
    ],
)
def test_segmentations_that_are_none(segmentation: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_of(segmentation, (2, 3))
