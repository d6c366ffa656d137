"""Augmentations: exact cases by hand, and the two engines against each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.data import Augmentation, NoAugmentation, StrongAugmentation, WeakAugmentation
from perceptransfer.data.fast import motion_kernel

BOTH = [WeakAugmentation, StrongAugmentation]
ENGINES = ["fast", "albumentations"]


@pytest.fixture
def batch(draw: Callable[..., np.ndarray]) -> np.ndarray:
    return np.stack([draw(i, 24, 32) for i in range(6)])


def only(**ranges: list[float]) -> StrongAugmentation:
    """Nothing but the named variables."""
    return StrongAugmentation(strength=0.0, ranges=ranges)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", BOTH)
def test_equal_seeds_give_equal_bits_and_others_do_not(
    kind: type[Augmentation], engine: str, batch: np.ndarray
) -> None:
    augment, before = kind(engine=engine), batch.copy()
    first, again, other = augment(batch, 1), kind(engine=engine)(batch, 1), augment(batch, 2)
    assert first.shape == (6, 3, 24, 32)
    assert first.dtype == torch.float32
    assert first.is_contiguous()
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    np.testing.assert_array_equal(batch, before)
    assert augment(batch[:0], 1).shape == (0, 3, 24, 32)


def test_images_of_a_batch_differ(batch: np.ndarray) -> None:
    same = np.repeat(batch[:1], 4, 0)
    for kind in BOTH:
        out = kind()(same, 0)
        assert len({image.numpy().tobytes() for image in out}) == 4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", BOTH)
def test_strength_zero_changes_nothing(kind: type[Augmentation], engine: str, batch: np.ndarray) -> None:
    plain = NoAugmentation()(batch)
    assert plain.dtype == torch.float32
    np.testing.assert_array_equal(plain.numpy(), batch.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    np.testing.assert_allclose(kind(strength=0.0, engine=engine)(batch, 0), plain, atol=2e-4)


def test_strength_scales_every_range() -> None:
    full, half = StrongAugmentation().ranges(), StrongAugmentation(strength=0.5).ranges()
    for name, limits in full.items():
        if isinstance(limits, list):
            assert half[name] == [limit / 2 for limit in limits]
    assert full["jpeg_quality_loss_chance"] == half["jpeg_quality_loss_chance"] == 0.3
    assert StrongAugmentation(ranges={"log_gamma": [0.0, 0.1]}).ranges()["log_gamma"] == [0.0, 0.1]


def test_exposure_and_gamma_by_hand() -> None:
    grey = np.full((1, 8, 8, 3), 51, np.uint8)  # 0.2
    assert only(exposure_stops=[1.0, 1.0])(grey, 0).unique().tolist() == pytest.approx([0.4], abs=2e-4)
    assert only(exposure_stops=[3.0, 3.0])(grey, 0).unique().tolist() == [1.0]
    squared = only(log_gamma=[np.log(2), np.log(2)])(grey, 0)
    assert squared.unique().tolist() == pytest.approx([0.04], abs=2e-4)
    weak = WeakAugmentation(0.0, ranges={"exposure_stops": [1.0, 1.0], "log_gamma": [np.log(2), np.log(2)]})(grey, 0)
    assert weak.unique().tolist() == pytest.approx([0.16], abs=1e-6)


def test_saturation_by_hand() -> None:
    red = np.full((1, 8, 8, 3), 0, np.uint8)
    red[..., 0] = 255
    half = only(log_saturation=[np.log(0.5), np.log(0.5)])(red, 0)[0, :, 0, 0]
    np.testing.assert_allclose(half, [0.6495, 0.1495, 0.1495], atol=3e-4)


def test_white_balance_is_per_channel_and_per_image() -> None:
    grey = np.full((50, 8, 8, 3), 100, np.uint8)
    gains = only(white_balance=[-0.2, 0.2])(grey, 0)[:, :, 0, 0] / (100 / 255)
    assert gains.min() >= 0.799
    assert gains.max() <= 1.201
    assert gains.std(0).min() > 0.05
    assert gains.std(1).min() > 0


def test_quarter_turn_and_shift_by_hand() -> None:
    image = np.zeros((1, 9, 9, 3), np.uint8)
    image[0, 1, 4] = 255
    turned = only(rotate_degrees=[90.0, 90.0])(image, 0)[0, 0]
    assert turned.argmax() in (4 * 9 + 1, 4 * 9 + 7)
    assert turned.max() == pytest.approx(1.0, abs=0.02)
    assert only(shift_share=[-1 / 3, -1 / 3])(image, 0).max() < 0.01  # three pixels up: out of the picture
    assert only(shift_share=[1 / 3, 1 / 3])(image, 0)[0, 0, 4, 7] == pytest.approx(1.0, abs=1e-3)


def test_zoom_and_lens_keep_the_centre() -> None:
    ring = np.zeros((1, 33, 33, 3), np.uint8)
    cv2.circle(ring[0], (16, 16), 6, (255, 255, 255), 1)
    for made, outward in ((only(log_scale=[0.5, 0.5]), True), (only(lens_distortion=[0.5, 0.5]), False)):
        y, x = np.nonzero(made(ring, 0)[0, 0].numpy() > 0.3)
        assert np.mean(y) == pytest.approx(16, abs=0.2)
        assert np.mean(x) == pytest.approx(16, abs=0.2)
        radius = np.hypot(y - 16, x - 16).mean()
        assert (radius > 8) if outward else (radius < 6)


def test_flip_mirrors_half_of_the_images(batch: np.ndarray) -> None:
    many = np.repeat(batch[:1], 200, 0)
    out, plain = StrongAugmentation(0.0, flip=True)(many, 0), NoAugmentation()(many)
    kept = (out - plain).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (out - plain.flip(-1)).abs().amax((1, 2, 3)) < 1e-3
    assert (kept ^ mirrored).all()
    assert 70 < kept.sum() < 130
    assert not (StrongAugmentation(0.0)(many, 0) - plain).abs().max() > 1e-3


@pytest.mark.parametrize(("length", "angle"), [(4.0, 0.0), (4.0, np.pi / 2), (3.25, 0.7), (0.75, 2.0)])
def test_motion_kernels(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle)
    assert kernel.sum() == pytest.approx(1)
    size = len(kernel)
    assert size % 2 == 1
    y, x = np.mgrid[:size, :size] - size // 2
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-6)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-6)
    along = x * np.cos(angle) + y * np.sin(angle)
    # A uniform path has variance L²/12; sharing among pixels adds at most 1/4, and the samples include both ends.
    assert 0 <= (kernel * along**2).sum() - length**2 / 12 < 0.5


def test_a_still_path_is_no_blur_and_a_horizontal_one_keeps_rows() -> None:
    np.testing.assert_allclose(motion_kernel(4.0, 0.0)[2], [0.167, 0.222, 0.222, 0.222, 0.167], atol=0.01)
    assert motion_kernel(4.0, 0.0)[[0, 1, 3, 4]].sum() == pytest.approx(0, abs=1e-6)


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((40, 32, 32, 3), 64, np.uint8)
    noisy = only(shot_noise=[0.1, 0.1], read_noise=[0.05, 0.05])(grey, 0)
    deviation = noisy.std((1, 2, 3)).numpy()
    clean = deviation < 1e-4
    assert 8 < clean.sum() < 32  # its chance is one half
    np.testing.assert_allclose(deviation[~clean], np.sqrt(0.1**2 * 64 / 255 + 0.05**2), rtol=0.05)
    assert noisy.mean() == pytest.approx(64 / 255, abs=2e-3)


def test_jpeg_is_opencvs_and_keeps_the_order_of_channels(batch: np.ndarray) -> None:
    out = only(jpeg_quality_loss=[60.0, 60.0])(np.repeat(batch[:1], 40, 0), 0)
    coded = cv2.imencode(".jpg", batch[0, :, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    expected = cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1].transpose(2, 0, 1) / 255
    same = np.abs(out.numpy() - expected).max((1, 2, 3)) < 1e-3
    assert 2 < same.sum() < 24  # its chance is 0.3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotate_degrees", 15.0),
        ("shear_degrees", 10.0),
        ("log_scale", 0.25),
        ("log_scale", -0.25),
        ("shift_share", 0.125),  # whole pixels, because albumentations rounds
        ("exposure_stops", 0.5),
        ("log_gamma", -0.4),
        ("log_saturation", -0.7),
    ],
)
def test_the_two_engines_agree_on_every_number(name: str, value: float, draw: Callable[..., np.ndarray]) -> None:
    image = draw(3, 48, 48)[None]
    ours, theirs = (
        StrongAugmentation(0.0, engine=engine, ranges={name: [value, value]})(image, 0) for engine in ENGINES
    )
    assert (ours - theirs).abs().mean() < 0.0025
    assert (ours - NoAugmentation()(image)).abs().mean() > 0.02


def test_magnification_is_the_same_in_both_directions() -> None:
    disc = np.zeros((1, 64, 64, 3), np.uint8)
    cv2.circle(disc[0], (32, 32), 12, (255, 255, 255), -1)
    for engine in ENGINES:
        out = WeakAugmentation(0.0, engine=engine, ranges={"log_scale": [-0.4, 0.4]})(np.repeat(disc, 20, 0), 0)[:, 0]
        height, width = (out.amax(2) > 0.5).sum(1), (out.amax(1) > 0.5).sum(1)
        assert (height - width).abs().max() <= 1
        assert height.max() - height.min() > 8


@pytest.mark.parametrize("kind", BOTH)
def test_the_two_engines_agree_in_distribution(kind: type[Augmentation], draw: Callable[..., np.ndarray]) -> None:
    """Independent implementations: brightness, contrast, detail and colour of 400 versions of one image."""
    image = np.repeat(draw(3, 48, 48)[None], 400, 0)
    statistics = []
    for engine in ENGINES:
        out = kind(engine=engine)(image, 5)
        detail = (out[:, :, 1:] - out[:, :, :-1]).square().mean((1, 2, 3)).sqrt()
        colour = out.mean((2, 3)).std(1)
        rows = torch.stack([out.mean((1, 2, 3)), out.std((1, 2, 3)), detail, colour])
        statistics.append((rows.mean(1), rows.std(1), out.std(0).mean()))
    (mean, spread, movement), (mean_a, spread_a, movement_a) = statistics
    torch.testing.assert_close(mean, mean_a, atol=0.012, rtol=0.1)
    torch.testing.assert_close(spread, spread_a, atol=0.012, rtol=0.25)
    torch.testing.assert_close(movement, movement_a, atol=0.01, rtol=0.1)


def test_albumentations_is_imported_only_when_used_and_does_not_look_for_updates() -> None:
    code = """
import os, sys
import numpy as np
from perceptransfer.data import WeakAugmentation
images = np.zeros((1, 8, 8, 3), np.uint8)
WeakAugmentation()(images, 0)
assert "albumentations" not in sys.modules
WeakAugmentation(engine="albumentations")(images, 0)
assert "albumentations" in sys.modules
assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


def test_configuration_round_trip() -> None:
    made = StrongAugmentation(0.5, flip=True, ranges={"log_gamma": [0.0, 0.1]})
    assert config_of(instantiate(config_of(made))) == config_of(made)


def test_unusable_arguments() -> None:
    with pytest.raises(ConfigError, match="strength"):
        WeakAugmentation(-1.0)
    with pytest.raises(ConfigError, match="engine"):
        WeakAugmentation(engine="slow")
    with pytest.raises(ConfigError, match=r"unknown variable 'colour'[\s\S]*log_gamma"):
        WeakAugmentation(ranges={"colour": [0.0, 1.0]})
    with pytest.raises(ConfigError, match=r"needs \[low, high\]"):
        WeakAugmentation(ranges={"log_gamma": [1.0, 0.0]})
