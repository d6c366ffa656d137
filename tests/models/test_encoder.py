from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.models import Encoder, without_pretrained_weights
from perceptransfer.models.backbone import FeatureList
from perceptransfer.models.encoder import _choose_levels

ARCH = "mobilenetv3_small_050"


@pytest.fixture
def folder(tmp_path):
    """What timm writes for the hub, from a trained-elsewhere model with five classes and its own normalisation."""
    torch.manual_seed(7)
    model = timm.create_model(ARCH, num_classes=5)
    model.pretrained_cfg.update(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    save_for_hf(model, tmp_path / "model", safe_serialization=True)
    return tmp_path / "model"


def test_local_folder_gives_its_weights_and_normalisation(folder) -> None:
    torch.manual_seed(0)
    encoder = Encoder(f"local-dir:{folder}").eval()
    stored = load_file(folder / "model.safetensors")
    assert all(torch.equal(tensor, stored[name]) for name, tensor in encoder.backbone.state_dict().items())
    assert encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert encoder.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    images = torch.rand(2, 3, 64, 64)
    reference = timm.create_model(ARCH, num_classes=0).eval()
    reference.load_state_dict({name: stored[name] for name in reference.state_dict()})
    by_hand = (images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    torch.testing.assert_close(encoder(images).pooled, reference(by_hand))


def test_identity_of_a_local_folder_is_its_content_and_not_its_place(folder, tmp_path) -> None:
    before = fingerprint(Encoder(f"local-dir:{folder}"))
    moved = folder.rename(tmp_path / "elsewhere")
    assert fingerprint(Encoder(f"local-dir:{moved}")) == before
    weights = load_file(moved / "model.safetensors")
    weights["conv_stem.weight"][0, 0, 0, 0] += 1
    save_file(weights, moved / "model.safetensors")
    changed = Encoder(f"local-dir:{moved}")
    assert fingerprint(changed) != before
    assert config_of(changed)["init_args"]["name"] == f"local-dir:{moved}"
    assert fingerprint(Encoder("small_cnn")) != fingerprint(Encoder(ARCH))


def test_a_checkpoint_needs_the_folders_architecture_only(folder) -> None:
    encoder = Encoder(f"local-dir:{folder}")
    (folder / "model.safetensors").unlink()
    with without_pretrained_weights():
        again = instantiate(config_of(encoder))
    again.load_state_dict(encoder.state_dict())
    with pytest.raises(ConfigError, match="not a model folder"):
        Encoder(f"local-dir:{folder}")


def test_damaged_weights_are_named(folder) -> None:
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ConfigError, match="cannot read the pretrained model") as caught:
        Encoder(f"local-dir:{folder}")
    assert caught.value.key == "encoder.name"


def test_folder_of_an_unknown_architecture(folder) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architecture": "nonesuch"}))
    with pytest.raises(ConfigError, match="nonesuch"):
        Encoder(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("name", "near"), [("resnet81", "resnet18"), ("smal_cnn", "small_cnn"), ("resnet18.a1_in2k", "resnet18.a1_in1k")]
)
def test_unknown_name_suggests_near_ones(name, near) -> None:
    with pytest.raises(ConfigError, match="unknown encoder") as caught:
        Encoder(name)
    assert caught.value.key == "encoder.name"
    assert near in str(caught.value.remedy)


def test_a_published_tag_is_a_name() -> None:
    assert Encoder("resnet18.a1_in1k").dim == 512


def test_weights_that_cannot_be_downloaded(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="cannot read the pretrained model resnet18") as caught:
        Encoder("resnet18", pretrained=True, options={"cache_dir": str(tmp_path)})
    assert caught.value.key == "encoder.pretrained"
    assert "local-dir:" in str(caught.value.remedy)
    assert "pretrained: false" in str(caught.value.remedy)


def test_published_weights_are_part_of_the_identity(monkeypatch) -> None:
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **kwargs: create(name, **kwargs))
    assert "resnet18" in Encoder("resnet18", pretrained=True).identity_extra()["weights"]
    assert Encoder("resnet18").identity_extra() == {}


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"name": "resnet18", "options": {"colour": 1}}, "encoder.options"),
        ({"name": "vit_tiny_patch16_224", "options": {"depth": "deep"}}, "encoder.options"),
        ({"options": {"widht": [8]}}, "encoder.options"),
        ({"pretrained": True}, "encoder.pretrained"),
        ({"name": "https://example.com/model"}, "encoder.name"),
    ],
)
def test_bad_configuration(arguments, key) -> None:
    with pytest.raises(ConfigError) as caught:
        Encoder(**arguments)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, 1, 32, 32), torch.zeros(3, 32, 32)]
)
def test_images_of_another_kind_are_refused(images) -> None:
    with pytest.raises(ConfigError, match="images must be float"):
        Encoder()(images)


def test_an_image_size_that_the_backbone_refuses() -> None:
    with pytest.raises(ConfigError, match=r"\(64, 64\)") as caught:
        Encoder("vit_tiny_patch16_224", options={"depth": 1})(torch.rand(1, 3, 64, 64))
    assert "img_size" in str(caught.value.remedy)


def test_models_without_intermediates_go_through_features_only() -> None:
    network = timm.create_model("resnet18", features_only=True).eval()
    backbone = FeatureList(network, {}).eval()
    x = torch.rand(2, 3, 64, 64)
    last, maps = backbone.forward_intermediates(x, indices=[1, 4])
    assert [tuple(level.shape) for level in maps] == [(2, 64, 16, 16), (2, 512, 2, 2)]
    torch.testing.assert_close(backbone.forward_head(last), network(x)[-1].mean((2, 3)))


@pytest.mark.parametrize(
    ("strides", "levels"),
    [([2, 4, 8], [0, 1, 2]), ([16] * 12, [2, 5, 8, 11]), ([16] * 3, [0, 1, 2]), ([4, 4, 8, 8, 16], [1, 3, 4])],
)
def test_which_levels_make_the_pyramid(strides, levels) -> None:
    assert _choose_levels(strides) == levels
