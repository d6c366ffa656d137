"""Export writes a proven bundle or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import (
    ConfigError,
    DataError,
    ImageError,
    MissingExtraError,
    ObservationError,
    OutputError,
    ParityError,
    PerceptransferError,
    StoreError,
)
from perceptransfer.deploy import export
from perceptransfer.deploy import export as export_function
from perceptransfer.models import Encoder, KeypointEncoder, add_lora
from perceptransfer.policy import load_encoder, read_contract, verify_bundle
from tests.bundles import KINDS, checkpoint_of, images_for, make_encoder, shared_bundle
from tests.weights import randomise

TINY: dict[str, Any] = {"widths": [4], "dim": 4}
FILES = {"config.json", "model.safetensors", "encoder.onnx", "encoder.pt2", "golden.safetensors", "contract.json"}


def tiny(**changes: Any) -> Checkpoint:
    return checkpoint_of(make_encoder("small_cnn", {**TINY, **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_checkpoints_features(kind: str) -> None:
    """Preprocessing is written once more here, as a user would write it."""
    bundle, (name, options, _, _) = shared_bundle(kind), KINDS[kind]
    encoder, images = make_encoder(name, options), images_for(bundle)
    spec = read_contract(bundle).images
    x = images.permute(0, 3, 1, 2) / 255
    if spec.resized_to != (spec.height, spec.width):  # 24 x 40 to 32 x 32: taller, narrower
        wide = torch.stack([torch.from_numpy(_box(image.numpy(), 32)) for image in images]).permute(0, 3, 1, 2) / 255
        x = torch.nn.functional.interpolate(wide, (32, 32), mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = encoder(x)
    for backend in ("torch", "onnx"):
        found = load_encoder(bundle, backend)(images)
        for mine, wanted in ((found.pooled, expected.pooled), (found.spatial, expected.pyramid[-1])):
            assert float((mine - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


def _box(image: np.ndarray, width: int) -> np.ndarray:
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize((width, image.shape[0]), Image.Resampling.BOX)
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_tells_what_was_measured(kind: str) -> None:
    contract = read_contract(shared_bundle(kind))
    assert set(contract.parity) == {"encoder.pt2", "encoder.onnx"}
    assert all(set(errors) == {"random", "real"} for errors in contract.parity.values())
    assert all(0 <= error <= 1e-5 for errors in contract.parity.values() for error in errors.values())
    assert contract.encoder == KINDS[kind][0] and contract.trained_on == {"stage": "pretrain"}
    assert {path.name for path in shared_bundle(kind).iterdir()} - {"encoder.int8.onnx"} == FILES
    assert set(contract.files) == {path.name for path in shared_bundle(kind).iterdir()} - {"contract.json"}


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_timm_gives_exactly_the_same_features(kind: str) -> None:
    bundle, (name, options, _, _) = shared_bundle(kind), KINDS[kind]
    model = timm.create_model(f"local-dir:{bundle}", pretrained=True).eval()
    encoder, x = make_encoder(name, options), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        normalised = (x - encoder.mean) / encoder.std
        expected = encoder(x)
        assert torch.equal(model(normalised), expected.pooled)
        _, maps = model.forward_intermediates(normalised, indices=1, output_fmt="NCHW")
        assert torch.equal(maps[-1], expected.pyramid[-1])


def test_the_built_in_network_is_described_and_not_passed_off_as_timms() -> None:
    bundle = shared_bundle("small_cnn")
    config = json.loads((bundle / "config.json").read_text())
    assert "architecture" not in config and not read_contract(bundle).timm_layout
    assert config_of(instantiate(config["perceptransfer"])) == config["perceptransfer"]


def test_an_encoder_that_is_more_than_its_backbone_takes_all_of_itself_along(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = KeypointEncoder("resnet18", keypoints=3, pose=2, stride=4, width=8, hidden=8)
    randomise(net)
    contract = export(checkpoint_of(net.eval()), tmp_path / "bundle", (64, 64))
    assert not contract.timm_layout and contract.dim == 8 and contract.spatial == (3, 16, 16)
    stored = load_file(tmp_path / "bundle" / "model.safetensors")
    described = instantiate(json.loads((tmp_path / "bundle" / "config.json").read_text())["perceptransfer"])
    described.load_state_dict(stored)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    expected = described.eval()(pixels.permute(0, 3, 1, 2) / 255).pooled
    for backend in ("torch", "onnx"):
        found = load_encoder(tmp_path / "bundle", backend)(pixels if backend == "torch" else pixels.numpy())
        torch.testing.assert_close(torch.as_tensor(found.pooled), expected, rtol=1e-4, atol=1e-5)


def test_a_bundle_is_a_backbone_to_train_on_and_to_export_again(tmp_path: Path) -> None:
    bundle = shared_bundle("vit")
    encoder = Encoder(f"local-dir:{bundle}")
    again = export(checkpoint_of(encoder), tmp_path / "again")
    assert again.encoder == "vit_tiny_patch16_224" and again.timm_layout
    images = images_for(bundle)
    assert torch.equal(load_encoder(tmp_path / "again")(images).pooled, load_encoder(bundle)(images).pooled)
    (tmp_path / "moved").mkdir()
    (tmp_path / "again").rename(tmp_path / "moved" / "again")
    assert timm.create_model(f"local-dir:{tmp_path / 'moved' / 'again'}", pretrained=True).num_features == 48


def test_merged_lora_is_exported_and_unmerged_is_refused(tmp_path: Path) -> None:
    encoder, checkpoint = make_encoder("small_cnn", TINY), None
    lora = add_lora(encoder, rank=2)
    for parameter in lora.parameters():
        torch.nn.init.normal_(parameter)
    checkpoint = checkpoint_of(encoder)
    with pytest.raises(StoreError, match=r"not merged\n.*merge"):
        export(checkpoint, tmp_path / "unmerged")
    lora.merge()
    export(checkpoint_of(encoder), tmp_path / "merged")
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = encoder.eval()(images.permute(0, 3, 1, 2) / 255).pooled
    torch.testing.assert_close(load_encoder(tmp_path / "merged")(images).pooled, expected, rtol=1e-5, atol=1e-6)
    assert not (tmp_path / "unmerged").exists()


def poisoned() -> Checkpoint:
    checkpoint = tiny()
    weights = {name: value.clone() for name, value in checkpoint.state.items()}
    weights["encoder.backbone.bottleneck.0.weight"][0, 0] = float("nan")
    return Checkpoint(checkpoint.model, weights)


def other_shape() -> Checkpoint:
    return Checkpoint(tiny().model, tiny(dim=5).state)


@pytest.mark.parametrize(
    ("checkpoint", "arguments", "error", "message"),
    [
        (poisoned, {}, ParityError, "not finite"),
        (other_shape, {}, StoreError, "do not fit"),
        (lambda: Checkpoint(tiny().model), {}, ConfigError, "no weights"),
        (lambda: tiny(pool="avg"), {}, ConfigError, "any size"),
        (tiny, {"size": (64, 64)}, PerceptransferError, "32, 32"),
        (tiny, {"size": (32,)}, ConfigError, "no image size"),
        (tiny, {"camera": (0, 32)}, ConfigError, r"no image size.*camera"),
        (tiny, {"images": np.zeros((4, 16, 16, 3), np.uint8)}, ObservationError, "16"),
        (tiny, {"images": np.zeros((4, 32, 32, 3))}, ObservationError, "float64"),
        (tiny, {"images": np.zeros((1, 32, 32, 3), np.uint8)}, ObservationError, "at least 2"),
        (tiny, {"images": "no/such/folder"}, DataError, "no/such/folder"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing_behind(
    tmp_path: Path, checkpoint: Any, arguments: Mapping[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(checkpoint(), tmp_path / "bundle", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_format_that_computes_something_else_refuses_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The written program is that of slightly other weights, as a broken exporter would leave it."""
    from perceptransfer.deploy import formats

    write = formats.write_onnx

    def broken(graph: Any, example: Tensor, path: Path) -> None:
        weight = graph.encoder.backbone.bottleneck[0].weight
        kept = weight.clone()
        weight.mul_(1.001)
        write(graph, example, path)
        weight.copy_(kept)

    monkeypatch.setitem(export_function.__globals__, "write_onnx", broken)
    with pytest.raises(ParityError, match=r"(?s)encoder.onnx.*nothing was written"):
        export(tiny(), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="there already"):
        export(tiny(), tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]
    (tmp_path / "empty").mkdir()
    export(tiny(), tmp_path / "empty")
    assert verify_bundle(tmp_path / "empty")


def test_own_images_are_compared_and_calibrated_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    contract = export(tiny(), tmp_path / "bundle", images=folder, int8=True, trained_on={"domain": "renderings"})
    assert contract.int8 is not None and (contract.int8["calibrated_on"], contract.int8["measured_on"]) == (3, 3)
    assert contract.trained_on == {"domain": "renderings"}
    (folder / "6.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"6\.png"):
        export(tiny(), tmp_path / "other", images=folder)


def test_a_policys_success_stands_beside_the_error_of_int8(tmp_path: Path) -> None:
    images = images_for(shared_bundle("small_cnn"), 2)

    def judge(bundle: Path, backend: str) -> dict[str, float]:
        return {"success": float(load_encoder(bundle, backend)(images).pooled.sum())}  # type: ignore[arg-type]

    export(tiny(), tmp_path / "bundle", int8=True, judge=judge)
    report = read_contract(tmp_path / "bundle").int8
    assert report is not None and set(report["judged"]) == {"onnx", "int8"}
    assert report["judged"]["onnx"]["success"] == float(load_encoder(tmp_path / "bundle", "onnx")(images).pooled.sum())
    assert verify_bundle(tmp_path / "bundle")


def test_equal_checkpoints_give_equal_weights_hashes_and_others_do_not(tmp_path: Path) -> None:
    first, second = (export(tiny(), tmp_path / name) for name in ("a", "b"))
    third = export(tiny(dim=8), tmp_path / "c")
    assert first.weights == second.weights != third.weights
    assert first.statistics == second.statistics


def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"perceptransfer\[export\]"):
        export(tiny(), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"c\.safetensors"):
        export(tmp_path / "c.safetensors", tmp_path / "bundle")
