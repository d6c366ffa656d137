"""What the statistics of a picture say."""

from __future__ import annotations

import numpy as np
import pytest

from perceptransfer.render.calibration.features import NAMES, describe
from perceptransfer.render.plan import Sensor
from perceptransfer.render.sensor import develop


def light(seed: int = 0, size: int = 48) -> np.ndarray:
    """Smooth blobs on grey, linear."""
    y, x = np.mgrid[:size, :size] / size
    rng, found = np.random.default_rng(seed), np.full((size, size, 3), 0.2)
    for _ in range(6):
        (cy, cx), colour = rng.random(2), rng.uniform(-0.15, 0.3, 3)
        found += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.02)[..., None] * colour
    return found.clip(0.01).astype(np.float32)


def column(name: str, **sensor: object) -> float:
    return float(describe(develop(light(), Sensor(**sensor))[None])[0, NAMES.index(name)])  # type: ignore[arg-type]


def test_a_row_of_finite_numbers_each_also_for_flat_pictures() -> None:
    flat = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 128, 255)])
    rows = describe(flat)
    assert rows.shape == (3, len(NAMES)) and np.isfinite(rows).all()
    assert rows[:, NAMES.index("black share")].tolist() == [1, 0, 0]
    assert rows[:, NAMES.index("white share")].tolist() == [0, 0, 1]
    np.testing.assert_allclose(rows[:, NAMES.index("lightness, quantile 0.5")], [0, 128 / 255, 1], atol=1e-3)


def test_colours_by_hand() -> None:
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 255, 51  # red 1, green 0, blue 0.2
    row = dict(zip(NAMES, describe(picture)[0], strict=True))
    assert row["red–green, mean"] == pytest.approx(1) and row["yellow–blue, mean"] == pytest.approx(0.3)
    assert row["chroma, median"] == pytest.approx(np.hypot(1, 0.3), abs=1e-3)


def test_energy_of_a_wave_stands_in_its_octave() -> None:
    x = np.arange(64)
    for octave, period in enumerate((3, 6, 12)):  # pixels; the finest octave is 2 to 4
        wave = np.rint(127 + 60 * np.sin(2 * np.pi * x / period)).astype(np.uint8)
        row = describe(np.tile(wave[None, None, :, None], (1, 64, 1, 3)))[0]
        energies = [row[i] for i, name in enumerate(NAMES) if name.startswith("lightness energy")]
        assert int(np.argmax(energies)) == octave


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("lightness, quantile 0.5", {}, {"exposure_stops": 0.5}),
        ("red–green, mean", {}, {"white_balance": (1.2, 1, 1)}),
        ("chroma, quantile 0.9", {"saturation": 0.7}, {}),
        ("lightness energy, 1/1 of the finest detail", {"blur_px": 1.0, "read_noise": 0.02}, {"read_noise": 0.04}),
        ("grain in dark flat places", {}, {"read_noise": 0.01}),
        ("grain in bright flat places", {"shot_noise": 0.02}, {"shot_noise": 0.05}),
        ("colour grain in flat places", {}, {"shot_noise": 0.03}),
        ("edge strength, quantile 0.99", {"blur_px": 2.0}, {}),
        ("lightness, deviation", {}, {"contrast": 1.3}),
    ],
)
def test_each_effect_moves_its_statistic(name: str, less: dict[str, object], more: dict[str, object]) -> None:
    assert column(name, **less) < column(name, **more)
