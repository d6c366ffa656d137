from __future__ import annotations

import torch

from perceptransfer.core.features import Features
from perceptransfer.models import ClassificationHead, Encoder, PerceptionModel, take


def test_head_is_one_affine_map() -> None:
    head = ClassificationHead(2, 3)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        head.linear.bias.copy_(torch.tensor([0.0, 0.0, 10.0]))
    logits = head(Features(torch.tensor([[2.0, 3.0]])))
    assert logits.tolist() == [[2.0, 3.0, 15.0]]
    with torch.autocast("cpu", torch.bfloat16):
        assert head(Features(torch.ones(1, 2))).dtype == torch.float32


def test_every_head_gets_the_features(make_encoder, make_images) -> None:
    encoder = make_encoder("small_cnn")
    heads = {"class": ClassificationHead(encoder.dim, 3), "pose": ClassificationHead(encoder.dim, 7)}
    model = PerceptionModel(encoder, heads).eval()
    images = make_images("small_cnn")
    features = model(images)
    bare = encoder(images.contiguous(memory_format=torch.channels_last))  # as the model lays them out
    assert list(features.outputs) == ["class", "pose"]
    assert torch.equal(features.pooled, bare.pooled)
    assert torch.equal(features.outputs["pose"], heads["pose"](bare))
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "heads"}


def test_joint_and_separate_forward(make_model, make_images) -> None:
    model = make_model("small_cnn")
    source, target = make_images("small_cnn", 4), make_images("small_cnn", 6, seed=1) * 0.3
    joint, separate = (model.forward_pair(source, target, mode) for mode in ("joint", "separate"))
    for one, other in zip(joint, separate, strict=True):  # evaluation mode: no difference
        torch.testing.assert_close(one.outputs["class"], other.outputs["class"])
    model.train()
    joint = model.forward_pair(source, target)
    whole = model(torch.cat([source, target]))
    torch.testing.assert_close(joint[0].pooled, whole.pooled[:4])
    torch.testing.assert_close(joint[1].outputs["class"], whole.outputs["class"][4:])
    torch.testing.assert_close(joint[1].pyramid[0], whole.pyramid[0][4:])
    alone = model.forward_pair(source, target, "separate")
    torch.testing.assert_close(alone[0].pooled, model(source).pooled)
    assert not torch.allclose(alone[1].pooled, joint[1].pooled, atol=1e-2)


def test_take() -> None:
    x = torch.arange(4.0)
    part = take(Features(x[:, None], (x[:, None, None, None],), {"class": x[:, None]}), slice(1, 3))
    assert part.pooled.flatten().tolist() == [1, 2]
    assert part.pyramid[0].flatten().tolist() == [1, 2]
    assert part.outputs["class"].flatten().tolist() == [1, 2]


def test_a_wholly_frozen_model_stays_in_evaluation_mode() -> None:
    model = PerceptionModel(Encoder(options={"dropout": 0.5}), {}).requires_grad_(False)
    model.train()
    assert not any(module.training for module in model.encoder.modules())
    model.requires_grad_(True).train()
    assert all(module.training for module in model.modules())
