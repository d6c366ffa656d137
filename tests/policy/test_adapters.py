"""The bundle in the shapes of other libraries. The real libraries: ``benchmarks/policy/try_adapters.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from torch import nn

from perceptransfer.core.errors import BundleError, ConfigError, MissingExtraError, ObservationError
from perceptransfer.policy import load_encoder
from perceptransfer.policy.adapters import diffusion_policy, lerobot, robomimic, timm_folder, vc1
from perceptransfer.policy.adapters.floats import to_bytes
from tests.bundles import images_for, own_bundle, shared_bundle


def floats(images: torch.Tensor) -> torch.Tensor:
    """As the libraries' loaders make them."""
    return images.permute(0, 3, 1, 2).float() / 255


def test_bytes_survive_the_way_through_floats() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert torch.equal(to_bytes(floats(every)), every)
    assert torch.equal(to_bytes(floats(every) * 2 - 1, -1, 1), every)
    assert torch.equal(to_bytes(floats(every).half()), every)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 16, 16, 3),
        torch.zeros(3, 16, 16),
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
        torch.full((1, 3, 4, 4), 255.0),
        torch.full((1, 3, 4, 4), -0.5),
        torch.full((1, 3, 4, 4), torch.nan),
        torch.full((1, 3, 4, 4), torch.inf),
    ],
)
def test_floats_that_are_no_camera_images_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(ObservationError) as caught:
        to_bytes(images)
    assert caught.value.remedy


def test_diffusion_policy_takes_a_dictionary() -> None:
    bundle = shared_bundle("small_cnn")
    meta: dict[str, Any] = {
        "obs": {
            "wrist": {"shape": [3, 32, 32], "type": "rgb"},
            "front": {"shape": [3, 32, 32], "type": "rgb"},
            "pose": {"shape": [7], "type": "low_dim"},
            "force": {"shape": [2]},
        }
    }
    encoder = diffusion_policy.BundleObsEncoder(bundle, meta)
    front, wrist = images_for(bundle, 2, seed=1), images_for(bundle, 2, seed=2)
    observed = {
        "wrist": floats(wrist) * 2 - 1,
        "front": floats(front) * 2 - 1,
        "pose": torch.rand(2, 7),
        "force": torch.rand(2, 2),
    }
    found, plain = encoder(observed), load_encoder(bundle)
    expected = [plain(front).pooled, plain(wrist).pooled, observed["force"], observed["pose"]]
    assert torch.equal(found, torch.cat(expected, dim=1))
    assert encoder.output_shape() == (found.shape[1],)
    with pytest.raises(ObservationError, match="pose"):
        encoder({name: value for name, value in observed.items() if name != "pose"})
    meta["obs"]["front"]["shape"] = [3, 64, 64]
    with pytest.raises(ConfigError, match="front"):
        diffusion_policy.BundleObsEncoder(bundle, meta)


def test_vc1_returns_four_things() -> None:
    bundle = shared_bundle("small_cnn")
    model, dim, transform, metadata = vc1.load_model(bundle)
    images = images_for(bundle, 2)
    expected = load_encoder(bundle)(images).pooled
    assert torch.equal(model(transform(images)), expected)
    assert torch.equal(model(transform(floats(images))), expected)
    torch.testing.assert_close(model(transform(images[0])), expected[:1])
    assert dim == expected.shape[1] and metadata["encoder"] == "small_cnn"


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_timm_builds_the_same_model(kind: str) -> None:
    bundle = shared_bundle(kind)
    model, encoder = timm.create_model(**timm_folder.timm_arguments(bundle)).eval(), load_encoder(bundle)
    config = timm.data.resolve_model_data_config(model)
    spec = encoder.transform
    assert [tuple(config[name]) for name in ("input_size", "mean", "std")] == [
        (3, *spec.resized_to),
        spec.mean,
        spec.std,
    ]
    assert (model.num_features, model.num_classes) == (encoder.dim, 0)


def test_transformers_reads_the_folder_too() -> None:
    transformers = pytest.importorskip("transformers")
    bundle = shared_bundle("vit")
    model = transformers.TimmWrapperModel.from_pretrained(bundle).eval()
    encoder, images = load_encoder(bundle), images_for(bundle)
    spec = encoder.transform
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
    plain = timm.create_model(**timm_folder.timm_arguments(bundle)).eval()
    pixels = (floats(images) - mean) / std
    with torch.no_grad():
        found = model(pixels).pooler_output
        assert torch.equal(found, plain(pixels))
    # The exported program is another one: processors differ in the last bit of what it fuses.
    torch.testing.assert_close(found, encoder(images).pooled, rtol=1e-5, atol=1e-5)


def test_timm_is_not_pointed_to_what_it_cannot_build_or_what_was_altered(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="small_cnn"):
        timm_folder.timm_arguments(shared_bundle("small_cnn"))
    with pytest.raises(Exception, match="architecture"):
        timm.create_model(f"local-dir:{shared_bundle('small_cnn')}", pretrained=True)
    bundle = own_bundle("vit", tmp_path)
    (bundle / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        timm_folder.timm_arguments(bundle)


def test_robomimic_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "robomimic", None)
    with pytest.raises(MissingExtraError, match=re.escape("robomimic==0.3.0")):
        robomimic.register()


def act(bundle: Path, mode: str = "IDENTITY", channels: int = 512) -> Any:
    """The parts of an ACT policy that the swap touches."""
    spec = load_encoder(bundle).transform
    policy = nn.Module()
    policy.model = nn.Module()
    policy.model.backbone = nn.Identity()
    policy.model.encoder_img_feat_input_proj = nn.Conv2d(channels, 16, 1)
    policy.config = SimpleNamespace(
        normalization_mapping={"VISUAL": SimpleNamespace(value=mode), "STATE": SimpleNamespace(value="MEAN_STD")},
        image_features={"observation.image": SimpleNamespace(shape=(3, spec.height, spec.width))},
    )
    return policy


@pytest.mark.parametrize("kind", ["small_cnn", "resnet"])
def test_the_act_backbone_is_swapped(kind: str) -> None:
    bundle = shared_bundle(kind)
    policy = act(bundle)
    projection = policy.model.encoder_img_feat_input_proj
    backbone = lerobot.swap_act_backbone(policy, bundle)
    images = images_for(bundle)
    policy.train()
    for _ in range(2):
        found = policy.model.backbone(floats(images))["feature_map"]
    assert torch.equal(found, load_encoder(bundle)(images).spatial)
    assert policy.model.encoder_img_feat_input_proj(found).shape[1] == 16
    assert (policy.model.encoder_img_feat_input_proj is projection) == (kind == "resnet")
    backbone.encoder.verify()


def test_act_that_would_normalise_twice_or_sees_other_images_is_refused() -> None:
    bundle = shared_bundle("small_cnn")
    with pytest.raises(ConfigError, match=r"MEAN_STD.*\n.*IDENTITY"):
        lerobot.swap_act_backbone(act(bundle, "MEAN_STD"), bundle)
    policy = act(bundle)
    policy.config.image_features["observation.image"].shape = (3, 480, 640)
    with pytest.raises(ConfigError, match="480, 640"):
        lerobot.swap_act_backbone(policy, bundle)
    del policy.model.backbone
    with pytest.raises(ConfigError, match="no image backbone"):
        lerobot.swap_act_backbone(policy, bundle)
