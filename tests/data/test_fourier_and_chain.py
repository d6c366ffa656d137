"""Fourier augmentations against plain NumPy; chains, grey pictures, and what every augmentation keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, ImageError
from perceptransfer.data import (
    FDA,
    PASTA,
    AppearanceAugmentation,
    Augmentation,
    Chain,
    Folder,
    Grayscale,
    GrayscaleSource,
    ImageSet,
    NoAugmentation,
    StrongAugmentation,
    Targets,
    WeakAugmentation,
    to_tensor,
)
from perceptransfer.data.augment import to_pixels
from perceptransfer.data.recipes import PLACES
from perceptransfer.data.sensor_augment import SensorAugmentation


@pytest.fixture
def batch(draw: Callable[..., np.ndarray]) -> np.ndarray:
    return np.stack([draw(i, 14, 17) for i in range(5)])


@pytest.fixture
def folder(tmp_path: Path, draw: Callable[..., np.ndarray]) -> Path:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), draw(20 + i, 14, 17))
    return tmp_path


def all_of_them(folder: Path) -> list[Augmentation]:
    return [
        NoAugmentation(),
        WeakAugmentation(),
        StrongAugmentation(),
        AppearanceAugmentation(),
        PASTA(),
        FDA(str(folder)),
        Grayscale(0.5),
        Chain([WeakAugmentation(), PASTA(), Grayscale(0.5)]),
        SensorAugmentation(str(Path(__file__).parents[2] / "datasets" / "primitives" / "scene.yaml")),
    ]


def test_what_every_augmentation_keeps(batch: np.ndarray, folder: Path) -> None:
    targets = Targets({"mask": (batch[..., 0] > 99).astype(np.uint8)})
    found = all_of_them(folder)
    named = {type(augment) for augment in found}
    assert {cls for cls in Augmentation.__subclasses__() if cls.__module__.startswith("perceptransfer")} <= {
        *named,
        *(base for cls in named for base in cls.__mro__),
    }
    for augment in found:
        before = batch.copy()
        again = instantiate(config_of(augment))
        out = augment(batch, 3)
        assert out.shape == (5, 3, 14, 17) and out.dtype == torch.float32
        assert out.min() >= 0 and out.max() <= 1
        assert torch.equal(out, again(batch, 3)) and fingerprint(augment) == fingerprint(again)
        if not isinstance(augment, NoAugmentation):
            assert not torch.equal(out, augment(batch, 4))
        np.testing.assert_array_equal(batch, before)
        image, moved = augment.labelled(batch, targets, 3)
        assert torch.equal(image, out), "the images are those of a plain call"
        assert augment.moves != np.array_equal(moved.arrays["mask"], targets.arrays["mask"])
        assert augment(batch[:0], 1).shape == (0, 3, 14, 17)


def amplitudes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectrum = np.fft.fft2(images.transpose(0, 3, 1, 2) / 255.0)
    return np.abs(spectrum), np.exp(1j * np.angle(spectrum))


def test_pasta_scales_each_frequency_as_the_paper_says(batch: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """With noise 1 everywhere the result is known: amplitudes times 1 + s."""
    monkeypatch.setattr(torch, "randn", lambda shape, generator: torch.ones(shape))
    amplitude, phase = amplitudes(batch)
    m, n = np.fft.fftfreq(14) * 14, np.fft.fftfreq(17) * 17
    s = (2 * 0.4 * np.sqrt((m[:, None] ** 2 + n**2) / (14**2 + 17**2))) ** 1.5 + 0.1
    expected = np.fft.ifft2(amplitude * (1 + s) * phase).real.clip(0, 1)
    np.testing.assert_allclose(PASTA(0.4, 1.5, 0.1)(batch, 0).numpy(), expected, atol=2e-5)


def test_pasta_draws_normal_factors(batch: np.ndarray) -> None:
    gray = np.full((400, 8, 8, 3), 100, np.uint8)  # a constant has one amplitude, the mean
    found = PASTA(alpha=0, k=1, beta=0.1)(gray, 5)[:, :, 0, 0].numpy().ravel() / (100 / 255)
    assert found.mean() == pytest.approx(1.0, abs=0.01) and found.std() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_allclose(PASTA(0, 1, 0)(batch, 0), to_tensor(batch), atol=1e-5)


@pytest.mark.parametrize("b", [0.0, 0.08, 0.3, 0.5])
def test_fda_takes_low_amplitudes_and_keeps_phases(batch: np.ndarray, folder: Path, b: float) -> None:
    found = FDA(str(folder), share=(b, b))(batch, 7).numpy()
    others = np.stack([cv2.imread(str(folder / f"{i}.png"))[:, :, ::-1] for i in range(3)])
    amplitude, phase = amplitudes(batch)
    waves = int(np.floor(np.float32(b) * 14))
    m, n = np.rint(np.fft.fftfreq(14) * 14), np.rint(np.fft.fftfreq(17) * 17)
    near = (abs(m)[:, None] <= waves) & (abs(n) <= waves)
    for i in range(5):
        candidates = [
            np.fft.ifft2(np.where(near, amplitudes(others[j : j + 1])[0][0], amplitude[i]) * phase[i]).real.clip(0, 1)
            for j in range(3)
        ]
        assert min(np.abs(found[i] - candidate).max() for candidate in candidates) < 2e-5


def test_fda_with_no_frequency_takes_the_mean_colour(folder: Path) -> None:
    flat = np.full((6, 14, 17, 3), 90, np.uint8)
    out = FDA(str(folder), share=(0.0, 0.0))(flat, 1)
    means = {
        tuple(np.rint(cv2.imread(str(folder / f"{i}.png"))[:, :, ::-1].mean((0, 1))).astype(int)) for i in range(3)
    }
    assert {tuple(np.rint(255 * image.mean((1, 2)).numpy()).astype(int)) for image in out} <= means


def test_fda_refuses_what_it_cannot_read(tmp_path: Path, batch: np.ndarray) -> None:
    with pytest.raises(DataError, match="nowhere"):
        FDA(str(tmp_path / "nowhere"))(batch, 0)
    with pytest.raises(DataError):
        FDA(str(tmp_path))(batch, 0)
    (tmp_path / "torn.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"torn\.png"):
        FDA(str(tmp_path))(batch, 0)
    for share in ((-0.1, 0.1), (0.2, 0.1), (0.0, 0.6)):
        with pytest.raises(ConfigError, match="share"):
            FDA(str(tmp_path), share)


def test_the_content_of_the_folder_counts_and_not_its_place(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    assert fingerprint(FDA(str(folder))) == fingerprint(FDA(str(other)))
    (other / "0.png").write_bytes((other / "1.png").read_bytes())
    assert fingerprint(FDA(str(folder))) != fingerprint(FDA(str(other)))


@pytest.mark.parametrize("key", ["alpha", "k", "beta"])
def test_pasta_refuses_negative_numbers(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        PASTA(**{key: -1.0})


def shift(columns: float) -> StrongAugmentation:
    return StrongAugmentation(strength=0.0, ranges={"shift_share": [columns, columns]})


def test_a_chain_moves_labels_once_with_the_pixels() -> None:
    image = np.zeros((1, 20, 20, 3), np.uint8)
    image[0, 8, 8] = 255
    mask, point = (image[..., 0] > 0).astype(np.uint8), np.array([[[[8.0, 8.0, 2.0]]]], np.float32)
    values, moved = Chain([shift(0.1), Grayscale(), shift(0.15)]).labelled(
        image, Targets({"mask": mask, "keypoints": point}), 0
    )
    assert np.argwhere(moved.arrays["mask"][0] == 1).tolist() == [[13, 13]]  # 20 · (.1 + .15) = 5 to the right and down
    assert moved.arrays["keypoints"][0, 0, 0] == pytest.approx([13, 13, 2])
    assert (values[0, 0] > 0.5).nonzero().tolist() == [[13, 13]]


def test_parts_of_a_chain_draw_apart(batch: np.ndarray) -> None:
    twice = Chain([Grayscale(0.5), Grayscale(0.5)])
    shares = [float((np.ptp(to_pixels(twice(batch, seed)), axis=-1) == 0).all((1, 2)).mean()) for seed in range(60)]
    assert np.mean(shares) == pytest.approx(0.75, abs=0.06)  # with one seed for both parts it would be one half
    assert Chain([PASTA(), WeakAugmentation()]).moves and not Chain([PASTA(), AppearanceAugmentation()]).moves
    assert set(Chain([PASTA(), Grayscale()]).ranges()) == {"0_PASTA", "1_Grayscale"}
    with pytest.raises(ConfigError, match="parts"):
        Chain([])
    with pytest.raises(ConfigError, match="chance"):
        Grayscale(1.5)


def test_gray_is_opencvs_brightness(batch: np.ndarray) -> None:
    out = to_pixels(Grayscale()(batch))
    for image, found in zip(batch, out, strict=True):
        expected = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        assert np.abs(found.astype(int) - expected[..., None]).max() <= 1
    assert np.array_equal(out[..., 0], out[..., 2])


def test_a_gray_source_keeps_everything_but_colour(folder: Path, batch: np.ndarray) -> None:
    for name in ("ant", "bee"):
        (folder / name).mkdir()
        (folder / f"{name}.tmp").write_bytes((folder / f"{len(name) - 3}.png").read_bytes())
        (folder / f"{name}.tmp").rename(folder / name / "0.png")
        (folder / name / "1.png").write_bytes((folder / name / "0.png").read_bytes())
    for i in range(3):
        (folder / f"{i}.png").unlink()
    plain, grayed = (source.load((14, 17)) for source in (Folder(str(folder)), GrayscaleSource(Folder(str(folder)))))
    assert plain.records == grayed.records and plain.digest() != grayed.digest()
    assert np.ptp(grayed.images(range(len(grayed))), axis=-1).max() == 0
    lazy = ImageSet(plain.records, plain.classes, plain.size, read=plain.image)
    from perceptransfer.data.combine import gray

    assert np.array_equal(lazy.changed(gray, "gray").image(0), grayed.image(0))


def test_appearance_is_the_strong_augmentation_without_its_view() -> None:
    strong, look = StrongAugmentation(), AppearanceAugmentation()
    assert set(strong.table) - set(look.table) == PLACES
    assert strong.moves and WeakAugmentation().moves and not look.moves and not PASTA().moves
    assert WeakAugmentation(strength=0.0, flip=True).moves and not WeakAugmentation(strength=0.0).moves
