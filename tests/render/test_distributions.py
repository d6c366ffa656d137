"""Numbers stay within their limits, have the shape that their name says, and wrong ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perceptransfer.core.errors import ConfigError
from perceptransfer.render.colours import Hsv, Palette, to_linear, to_srgb
from perceptransfer.render.distributions import (
    LIMITS,
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    Uniform,
    as_distribution,
)
from perceptransfer.render.draws import Draws
from perceptransfer.render.optics import Lighting, shell
from perceptransfer.render.rotations import AnyRotation, Mixed, Upright, about

SIDE = st.floats(0.01, 100)


@given(SIDE, SIDE, st.integers(0, 99))
def test_a_draw_stays_within_its_limits(a: float, b: float, seed: int) -> None:
    low, high = sorted((a, b))
    rng = np.random.default_rng(seed)
    for made in (Uniform(low, high), LogUniform(low, high), Normal((low + high) / 2, b, low, high), Choice([a, b])):
        assert (made.low, made.high) == (low, high)
        assert all(low <= made.sample(rng) <= high for _ in range(5))


def drawn(made: Distribution, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([made.sample(rng) for _ in range(count)])


def test_the_shapes_are_those_of_scipy() -> None:
    assert stats.kstest(drawn(Uniform(2, 5)), stats.uniform(2, 3).cdf).pvalue > 0.01
    assert stats.kstest(drawn(LogUniform(0.1, 10)), stats.loguniform(0.1, 10).cdf).pvalue > 0.01
    assert stats.kstest(drawn(Normal(1, 2, 0, 4)), stats.truncnorm(-0.5, 1.5, 1, 2).cdf).pvalue > 0.01
    shares = np.bincount(drawn(Choice([0, 1, 2], [1, 0, 3])).astype(int)) / 4000
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.03)


@pytest.mark.parametrize(
    ("given_value", "name", "problem"),
    [
        ([2, 1], "distance_m", "largest value 1 is below the smallest 2"),
        ([550, 1350], "distance_m", "cannot be right"),  # millimetres
        ([0, 7], "hue_turns", "cannot be right"),  # radians
        (720, "roll_deg", "cannot be right"),
        ("30 cm", "distance_m", "finite number, got '30 cm'"),
        ([1, 2, 3], "distance_m", r"number or \[low, high\]"),
        (float("nan"), "blur_px", "finite number"),
        (-1, "blur_px", "cannot be right"),
        (None, "blur_px", "finite number"),
        (True, "blur_px", "finite number"),
        (Uniform(0, 400), "blur_px", "cannot be right"),
    ],
)
def test_a_wrong_range_or_unit_names_the_key_and_the_unit(given_value: object, name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        as_distribution(given_value, name)
    assert caught.value.key == name
    assert caught.value.remedy and (
        "swap" in caught.value.remedy or LIMITS[name.split("_")[-1]][2] in caught.value.remedy
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogUniform(0, 1),
        lambda: Normal(0, -1),
        lambda: Normal(100, 1, 0, 5),
        lambda: Choice([]),
        lambda: Choice([1, 2], [1]),
        lambda: Choice([1, 2], [0, 0]),
        lambda: Palette([]),
        lambda: Palette(["red"]),
        lambda: Hsv(saturation=(0, 2)),
        lambda: Lighting(energy_w=-1),
    ],
)
def test_a_distribution_that_cannot_be_is_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


def test_a_point_on_the_shell_has_its_distance_and_angles() -> None:
    x, y, z = shell(2.0, 30.0, 60.0)
    assert np.hypot(np.hypot(x, y), z) == pytest.approx(2)
    assert z == pytest.approx(1) and np.degrees(np.arctan2(y, x)) == pytest.approx(60)


def test_rotations_are_rotations_and_any_rotation_has_no_preference() -> None:
    made = [AnyRotation().sample(Draws(0, i)) for i in range(2000)]
    np.testing.assert_allclose([m @ m.T for m in made[:50]], np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    assert np.linalg.det(made[0]) == pytest.approx(1)
    # Archimedes: each coordinate of a uniform point on the sphere is uniform.
    for row in range(3):
        for column in range(3):
            assert stats.kstest([m[row, column] for m in made], stats.uniform(-1, 2).cdf).pvalue > 1e-4


def test_upright_tilts_by_the_angle_given() -> None:
    up = [Upright(tilt_deg=12.0).sample(Draws(1, i))[:, 2] for i in range(20)]
    np.testing.assert_allclose([np.degrees(np.arccos(z)) for _, _, z in up], 12.0)
    assert len({round(float(x), 6) for x, _, _ in up}) == 20
    np.testing.assert_allclose(about("x", 90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    assert np.allclose(Mixed(Upright(), AnyRotation(), 1.0).sample(Draws(3))[2], [0, 0, 1])


def test_what_one_parameter_draws_does_not_depend_on_the_others() -> None:
    first, second = Lighting(energy_w=(10, 60)), Lighting(energy_w=20.0, world_gain=(0.5, 2))
    one, other = first.sample(Draws(5)), second.sample(Draws(5))
    assert [it.position for it in one] == [it.position for it in other]
    assert {it.energy for it in other[1:]} == {20.0}


def test_whole_numbers_are_equally_often() -> None:
    counts = np.bincount([len(Lighting(lamp_count=(1, 3)).sample(Draws(i))) - 1 for i in range(600)])
    np.testing.assert_allclose(counts[1:] / 600, 1 / 3, atol=0.06)


@given(st.floats(0, 1))
def test_srgb_and_linear_are_inverse(value: float) -> None:
    assert float(to_srgb(to_linear(np.array(value)))) == pytest.approx(value, abs=1e-6)  # the standard's rounded knee
    assert float(to_linear(np.array(0.5))) == pytest.approx(0.21404, abs=1e-5)  # IEC 61966-2-1, tabulated


def test_colours_are_linear_and_in_range() -> None:
    for i in range(50):
        for made in (Hsv(), Palette(["#ffffff", "#808080"], (0.5, 3))):
            assert all(0 <= x <= 1 for x in made.sample(Draws(i)))
    assert Palette(["#808080"]).sample(Draws(0)) == pytest.approx([0.2158605] * 3, abs=1e-5)
    assert Constant(3).sample(np.random.default_rng()) == 3
