"""Features from disk are the encoder's, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perceptransfer.core.errors import ObservationError, OutputError
from perceptransfer.policy import FeatureCache, load_encoder
from tests.bundles import images_for, shared_bundle

SPOILS = [lambda old: old[:-1], lambda old: old[:-1] + bytes([old[-1] ^ 1]), lambda old: bytes(32) + old, lambda _: b""]


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_the_second_time_the_encoder_sees_nothing(tmp_path: Path, kind: str) -> None:
    bundle = shared_bundle("small_cnn")
    images = images_for(bundle, 10) if kind == "torch" else images_for(bundle, 10).numpy()
    encoder = load_encoder(bundle)
    first, second = FeatureCache(tmp_path, encoder, chunk=4), FeatureCache(tmp_path, encoder, chunk=4)
    made, found = first(images), second(images)
    assert (first.encoded, second.encoded) == (10, 0)
    for mine, again, direct in zip(made, found, encoder(images), strict=True):
        assert type(again) is type(direct)
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(again))
        np.testing.assert_allclose(np.asarray(mine), np.asarray(direct), rtol=1e-4, atol=1e-5)


def test_appended_images_cost_only_themselves(tmp_path: Path) -> None:
    bundle = shared_bundle("small_cnn")
    cache, images = FeatureCache(tmp_path, load_encoder(bundle), chunk=4), images_for(bundle, 12)
    cache(images[:8])
    cache(images)
    assert cache.encoded == 12


def test_one_changed_pixel_is_another_image(tmp_path: Path) -> None:
    bundle = shared_bundle("small_cnn")
    cache, images = FeatureCache(tmp_path, load_encoder(bundle)), images_for(bundle, 2)
    before = cache(images).pooled
    images[1, 5, 5, 0] ^= 128
    after = cache(images).pooled
    assert cache.encoded == 4
    assert torch.equal(before[0], after[0]) and not torch.equal(before[1], after[1])


def test_another_bundle_or_format_has_its_own_features(tmp_path: Path) -> None:
    images = images_for(shared_bundle("small_cnn"), 2)
    encoders = [load_encoder(shared_bundle("small_cnn"), backend) for backend in ("torch", "int8")]
    encoders.append(load_encoder(shared_bundle("vit")))
    assert len({FeatureCache(tmp_path, encoder).path(images) for encoder in encoders}) == 3


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_entry_is_noticed_and_made_again(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    bundle = shared_bundle("small_cnn")
    cache, images = FeatureCache(tmp_path, load_encoder(bundle)), images_for(bundle)
    expected, path = cache(images), cache.path(images)
    path.write_bytes(spoil(path.read_bytes()))
    assert torch.equal(cache(images).pooled, expected.pooled)
    assert (cache.damaged, cache.encoded) == (1, 6)
    assert torch.equal(cache(images).spatial, expected.spatial)
    assert cache.damaged == 1


def test_refused_images_leave_nothing_behind(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, load_encoder(shared_bundle("small_cnn")))
    with pytest.raises(ObservationError):
        cache(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert not list(tmp_path.rglob("*"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bundle = shared_bundle("small_cnn")
    with pytest.raises(OutputError, match="file"):
        FeatureCache(tmp_path / "file", load_encoder(bundle))(images_for(bundle))
