from __future__ import annotations

import pytest
import torch

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.models import add_lora


def train(model, lora, images, steps=3) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images).outputs["class"], torch.arange(len(images)) % 3).backward()
        optimizer.step()
    model.eval()


def state(module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_merges_into_plain_weights_and_unmerges_exactly(architecture, make_model, make_images) -> None:
    model, images = make_model(architecture), make_images(architecture, 4)
    original, before = state(model.encoder), model(images).pooled
    lora = add_lora(model.encoder, rank=2, alpha=4)
    assert torch.equal(model.eval()(images).pooled, before)  # a fresh adapter changes nothing
    train(model, lora, images)
    adapted = model(images).pooled.detach()
    assert not torch.allclose(adapted, before, atol=1e-4)
    for _ in range(3):
        lora.merge()
        lora.merge()
        merged = state(model.encoder)
        assert merged.keys() == original.keys()
        assert {n.removesuffix(".weight") for n in merged if not torch.equal(merged[n], original[n])} == set(
            lora.targets
        )
        torch.testing.assert_close(model(images).pooled, adapted, rtol=1e-3, atol=1e-3)
        plain = instantiate(config_of(model.encoder))
        plain.load_state_dict(merged)
        laid_out = images.contiguous(memory_format=torch.channels_last)  # as the model lays them out
        assert torch.equal(plain.eval()(laid_out).pooled, model(images).pooled)
        lora.unmerge()
        lora.unmerge()
        assert torch.equal(model(images).pooled, adapted)
        base = {
            name.replace(".base_layer", ""): t for name, t in model.encoder.state_dict().items() if "lora_" not in name
        }
        assert same(base, original)


def test_only_adapters_and_heads_train(architecture, make_model, make_images) -> None:
    model, images = make_model(architecture), make_images(architecture, 4)
    flags = {name: parameter.requires_grad for name, parameter in model.encoder.named_parameters()}
    lora = add_lora(model.encoder, rank=2)
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    assert trainable == {id(p) for p in [*lora.parameters(), *model.heads.parameters()]}
    frozen = {name: t.clone() for name, t in model.encoder.state_dict().items() if "lora_" not in name}
    train(model, lora, images)
    assert all(torch.equal(t, frozen[name]) for name, t in model.encoder.state_dict().items() if name in frozen)
    lora.merge()
    assert {name: parameter.requires_grad for name, parameter in model.encoder.named_parameters()} == flags
    lora.unmerge()
    assert {id(p) for p in model.parameters() if p.requires_grad} == trainable


def test_merged_weight_by_hand(make_encoder) -> None:
    encoder = make_encoder("vit_tiny_patch16_224")
    weight = encoder.backbone.blocks[1].attn.qkv.weight.detach().clone()
    lora = add_lora(encoder, rank=3, alpha=6.0, targets=["qkv"])
    assert lora.targets == [f"backbone.blocks.{i}.attn.qkv" for i in range(4)]
    down, up = lora.parameters()[2:4]
    torch.nn.init.normal_(up)
    lora.merge()
    torch.testing.assert_close(encoder.backbone.blocks[1].attn.qkv.weight, weight + 6.0 / 3 * up @ down)


def test_targets_are_whole_names_or_endings(make_encoder) -> None:
    encoder = make_encoder("resnet18")
    assert add_lora(encoder, rank=1, targets=["layer1.0.conv1"]).targets == ["backbone.layer1.0.conv1"]
    every = add_lora(make_encoder("resnet18"), rank=1, targets=["conv1"]).targets
    assert len(every) == 1 + 8


def test_grouped_convolutions_are_left_out(make_encoder) -> None:
    encoder = make_encoder("mobilenetv3_small_050")
    lora = add_lora(encoder, rank=2)
    lora.merge()
    layers = [encoder.get_submodule(name) for name in lora.targets]
    assert layers
    assert all(getattr(layer, "groups", 1) == 1 for layer in layers)


def test_the_seed_decides_the_adapters(make_encoder) -> None:
    drawn = []
    for seed in (1, 1, 2):
        encoder = make_encoder("small_cnn")
        torch.manual_seed(seed)
        drawn.append([p.detach() for p in add_lora(encoder, rank=2).parameters()])
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))


def test_adapters_again_after_a_merge(make_encoder, make_images) -> None:
    encoder, images = make_encoder("small_cnn"), make_images("small_cnn")
    first = add_lora(encoder, rank=2)
    for parameter in first.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    with pytest.raises(ConfigError, match="already"):
        add_lora(encoder)
    first.merge()
    merged = encoder(images).pooled
    second = add_lora(encoder, rank=1)
    assert torch.equal(encoder.eval()(images).pooled, merged)
    assert len(second.targets) == len(first.targets) == 4


@pytest.mark.parametrize(("arguments", "key"), [({"rank": 0}, "lora_rank"), ({"targets": ["qvk"]}, "lora_targets")])
def test_bad_arguments(arguments, key, make_encoder) -> None:
    with pytest.raises(ConfigError) as caught:
        add_lora(make_encoder("small_cnn"), **arguments)
    assert caught.value.key == key
