"""What every encoder keeps, whatever its architecture."""

from __future__ import annotations

import timm
import torch

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.models import Encoder


def test_shapes_and_strides(architecture, make_encoder, make_images, strides) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    features = encoder(images)
    assert features.pooled.shape == (3, encoder.dim)
    assert features.outputs == {}
    assert encoder.strides == strides[architecture]
    assert len(features.pyramid) == len(encoder.channels)
    height = images.shape[-1]
    for level, channels, stride in zip(features.pyramid, encoder.channels, encoder.strides, strict=True):
        assert level.shape == (3, channels, height // stride, height // stride)


def test_normalises_inside_as_the_backbone_was_trained(architecture, make_encoder, make_images) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    if architecture == "small_cnn":
        mean, std = (0.5,) * 3, (0.5,) * 3
    else:
        trained = timm.data.resolve_model_data_config(encoder.backbone)
        mean, std = trained["mean"], trained["std"]
    by_hand = torch.stack([(images[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(encoder(images).pooled, encoder.backbone(by_hand), rtol=1e-4, atol=1e-5)
    assert {"mean", "std"} <= set(encoder.state_dict())


def test_each_image_by_itself_in_evaluation_mode(architecture, make_encoder, make_images) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    together, alone = encoder(images), encoder(images[1:2])
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.pyramid[-1][1:2], alone.pyramid[-1], rtol=1e-4, atol=1e-4)


def test_gradient_reaches_every_weight_that_pooled_uses(architecture, make_encoder, make_images) -> None:
    encoder = make_encoder(architecture).train()
    features = encoder(make_images(architecture, 4))
    (features.pooled.square().sum() + sum(level.square().mean() for level in features.pyramid)).backward()
    missing = [name for name, p in encoder.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []


def test_configuration_round_trip_and_weights(architecture, make_encoder, make_images) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    again = instantiate(config_of(encoder))
    assert isinstance(again, Encoder)
    assert config_of(again) == config_of(encoder)
    assert fingerprint(again) == fingerprint(encoder)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.eval()(images).pooled, encoder(images).pooled)


def test_the_seed_decides_the_weights(architecture, make_encoder) -> None:
    config = config_of(make_encoder(architecture))
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(instantiate(config).state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not all(torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())


def test_pooled_is_single_precision_under_autocast(architecture, make_encoder, make_images) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features = encoder(images)
    assert features.pooled.dtype == torch.float32
    assert torch.isfinite(features.pooled).all()


def test_double_precision(architecture, make_encoder, make_images) -> None:
    encoder, images = make_encoder(architecture), make_images(architecture)
    single = encoder(images).pooled
    double = encoder.double()(images.double()).pooled
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-2, atol=1e-3)
