"""Opening bundles: every backend gives the same, and nothing but the true bundle is opened."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from perceptransfer.core.errors import BundleError, ConfigError
from perceptransfer.policy import load_encoder, read_contract, verify_bundle
from perceptransfer.policy.contract import CONTRACT, FORMATS, GOLDEN, SCHEMA
from tests.bundles import KINDS, images_for, own_bundle, shared_bundle


@pytest.mark.parametrize("kind", KINDS)
def test_torch_and_onnx_agree_and_answer_in_the_kind_they_are_asked_in(kind: str) -> None:
    bundle = shared_bundle(kind)
    images = images_for(bundle)
    answers = [
        load_encoder(bundle, backend)(given) for backend in ("torch", "onnx") for given in (images, images.numpy())
    ]
    for i, answer in enumerate(answers):
        assert isinstance(answer.pooled, np.ndarray if i % 2 else torch.Tensor)
        for mine, first in zip(answer, answers[0], strict=True):
            torch.testing.assert_close(torch.as_tensor(mine), first, rtol=1e-4, atol=1e-5 * float(first.abs().max()))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_shapes_are_the_contracts_for_any_batch(backend: str) -> None:
    bundle = shared_bundle("resnet")
    encoder = load_encoder(bundle, backend)
    assert (encoder.dim, encoder.spatial_shape) == (512, (512, 1, 1))
    for count in (1, 2, 7):
        pooled, spatial = encoder(images_for(bundle, count))
        assert pooled.shape == (count, 512) and spatial.shape == (count, 512, 1, 1)
        assert pooled.dtype == spatial.dtype == torch.float32


def test_each_image_by_itself() -> None:
    bundle = shared_bundle("small_cnn")
    images = images_for(bundle, 4)
    for backend in ("torch", "onnx", "int8"):
        encoder = load_encoder(bundle, backend)
        torch.testing.assert_close(encoder(images).pooled[2:3], encoder(images[2:3]).pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_views_are_read_as_what_they_show(backend: str) -> None:
    """BGR turned into RGB by a slice, a frame cut out of a larger one, a buffer that may not be written."""
    bundle = shared_bundle("small_cnn")
    encoder, images = load_encoder(bundle, backend), images_for(bundle).numpy()
    wide = np.concatenate([images, images], axis=2)
    locked = images.copy()
    locked.flags.writeable = False
    for view in (images[..., ::-1].copy()[..., ::-1], wide[:, :, :32], locked):
        np.testing.assert_array_equal(encoder(view).pooled, encoder(images).pooled)
    turned = torch.from_numpy(images).permute(0, 2, 1, 3)
    np.testing.assert_array_equal(encoder(turned).pooled, encoder(turned.contiguous()).pooled)


def test_auto_takes_torch_and_metadata_says_where_the_encoder_comes_from() -> None:
    encoder = load_encoder(shared_bundle("small_cnn"))
    assert encoder.backend == "torch"
    assert encoder.metadata["trained_on"] == {"stage": "pretrain"} and encoder.metadata["licence"] == "CC-BY-4.0"
    assert json.dumps(encoder.metadata)


def test_verification_runs_every_format() -> None:
    checks = verify_bundle(shared_bundle("small_cnn"))
    assert [check.backend for check in checks] == ["torch", "onnx", "int8"]
    assert all(check.error is not None and check.error <= check.tolerance for check in checks)


def test_int8_is_close_but_not_the_same() -> None:
    bundle = shared_bundle("small_cnn")
    report, images = read_contract(bundle).int8, images_for(bundle)
    assert report is not None
    error = report["feature_error"]
    assert 0 < error["pooled"] < 0.1 and 0 < error["spatial"] < 0.1 and 0.99 < error["cosine"] < 1
    exact, rough = load_encoder(bundle, "onnx")(images).pooled, load_encoder(bundle, "int8")(images).pooled
    assert not torch.equal(exact, rough)
    assert (exact - rough).norm() < 0.25 * exact.norm()  # noise, on which it was not calibrated


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("spoil", [flip_last_byte, cut, Path.unlink])
@pytest.mark.parametrize("name", [*FORMATS.values(), GOLDEN, "model.safetensors", "config.json"])
def test_an_altered_or_missing_file_is_named(tmp_path: Path, name: str, spoil: Callable[[Path], None]) -> None:
    bundle = own_bundle("small_cnn", tmp_path)
    spoil(bundle / name)
    with pytest.raises(BundleError, match=name) as caught:
        verify_bundle(bundle)
    assert caught.value.remedy
    backend = next((backend for backend, file in FORMATS.items() if file == name), None)
    if backend is not None:
        with pytest.raises(BundleError, match=name):
            load_encoder(bundle, backend)  # type: ignore[arg-type]


def test_what_is_not_asked_for_need_not_be_on_the_robot(tmp_path: Path) -> None:
    bundle = own_bundle("small_cnn", tmp_path)
    for name in (FORMATS["torch"], FORMATS["int8"], GOLDEN, "model.safetensors", "config.json"):
        (bundle / name).unlink()
    assert load_encoder(bundle, "onnx")(images_for(bundle)).pooled.shape == (3, 16)


def edit(bundle: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    data = json.loads((bundle / CONTRACT).read_text())
    change(data)
    (bundle / CONTRACT).write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(schema=SCHEMA + 1), f"version {SCHEMA + 1}, this program reads version {SCHEMA}"),
        (lambda data: data.update(schema=SCHEMA - 1), f"version {SCHEMA - 1}"),
        (lambda data: data.pop("schema"), "not a contract"),
        (lambda data: data.pop("files"), "missing or unknown"),
        (lambda data: data.update(surprise=1), "missing or unknown"),
        (lambda data: data["images"].update(mean=[0, 0, 0]), "edited"),
        (lambda data: data["images"].update(height=31), "edited"),
        (lambda data: data["files"].update({"encoder.pt2": "0" * 64}), "edited"),
        (lambda data: data.pop("sha256"), "edited"),
    ],
)
def test_another_version_or_an_edited_contract(tmp_path: Path, change: Callable, message: str) -> None:  # type: ignore[type-arg]
    bundle = own_bundle("small_cnn", tmp_path)
    edit(bundle, change)
    for call in (load_encoder, verify_bundle):
        with pytest.raises(BundleError, match=message) as caught:
            call(bundle)
        assert CONTRACT in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": 1}', "\x00"])
def test_something_else_than_a_contract(tmp_path: Path, content: str) -> None:
    (tmp_path / CONTRACT).write_text(content)
    with pytest.raises(BundleError, match=CONTRACT):
        load_encoder(tmp_path)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        load_encoder(tmp_path / "nowhere")


def test_a_pinned_bundle_is_no_other(tmp_path: Path) -> None:
    small, other = shared_bundle("small_cnn"), shared_bundle("vit")
    pin = read_contract(small).sha256
    load_encoder(small, sha256=pin)
    with pytest.raises(BundleError, match="not " + pin):
        load_encoder(other, sha256=pin)


def test_an_absent_format_and_an_unknown_backend() -> None:
    with pytest.raises(BundleError, match=r"no encoder\.int8\.onnx"):
        load_encoder(shared_bundle("vit"), "int8")
    with pytest.raises(ConfigError, match="tensorrt"):
        load_encoder(shared_bundle("vit"), "tensorrt")  # type: ignore[arg-type]


def test_a_golden_output_of_another_encoder_is_noticed(tmp_path: Path) -> None:
    """Hashes alone would pass a bundle whose runtime computes something else."""
    bundle, wrong = own_bundle("small_cnn", tmp_path), copy.deepcopy(read_contract(shared_bundle("small_cnn")))
    from perceptransfer.deploy.writing import seal
    from perceptransfer.policy.tensor_file import unpack, write_arrays

    golden = unpack((bundle / GOLDEN).read_bytes(), "torch", bundle / GOLDEN)
    golden["pooled"][1, 2] += 0.01 * golden["pooled"].abs().max()
    write_arrays(bundle / GOLDEN, golden)
    seal(bundle, wrong)
    with pytest.raises(BundleError, match=r"golden output differs by 0\.0"):
        verify_bundle(bundle)


def test_the_bundle_moves(tmp_path: Path) -> None:
    moved = Path(shutil.move(own_bundle("small_cnn", tmp_path), tmp_path / "elsewhere"))
    assert verify_bundle(moved)
