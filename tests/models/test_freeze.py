from __future__ import annotations

import pytest
import torch

from perceptransfer.core.errors import ConfigError
from perceptransfer.models import ClassificationHead, Encoder, PerceptionModel, set_trainable
from perceptransfer.models.freeze import blocks

CHOICES = ["all", "first", "middle", "last", "head", "norm"]


def train_two_steps(model: PerceptionModel, images: torch.Tensor) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    model.train()
    for _ in range(2):
        optimizer.zero_grad()
        model(images).outputs["class"].square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("tune", CHOICES)
def test_frozen_is_frozen(architecture, tune, make_model, make_images) -> None:
    model = make_model(architecture)
    names = set(set_trainable(model, tune))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train_two_steps(model, make_images(architecture, 4))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    parameters = {name for name, _ in model.named_parameters()}
    assert names <= parameters
    assert moved & parameters == names
    # A running statistic moves only where the same layer's weight is trained.
    owners = {name.rsplit(".", 1)[0] for name in moved - parameters}
    assert owners <= {name.rsplit(".", 1)[0] for name in names}
    if tune in ("head", "middle") and architecture == "small_cnn":
        assert not any(name.startswith("encoder.backbone.blocks.0") for name in moved)


def test_thirds_of_the_small_network_by_hand() -> None:
    encoder = Encoder()
    model = PerceptionModel(encoder, {"class": ClassificationHead(encoder.dim, 3)})
    chosen = {
        tune: {name.split(".")[2] + name.split(".")[3] for name in set_trainable(model, tune, heads=False)}
        for tune in ("first", "middle", "last")
    }
    assert chosen == {"first": {"blocks0"}, "middle": {"blocks1", "blocks2"}, "last": {"bottleneck0", "bottleneck1"}}


def test_blocks_of_a_residual_network_by_hand(make_encoder) -> None:
    prefixes = [{".".join(n.split(".")[:2]) for n in group} for group in blocks(make_encoder("resnet18").backbone)]
    stem = {"conv1.weight", "bn1.weight", "bn1.bias"}
    assert prefixes == [stem, *({f"layer{i}.{j}"} for i in range(1, 5) for j in range(2))]


def test_thirds_split_the_encoder(architecture, make_model) -> None:
    model = make_model(architecture)
    thirds = [set(set_trainable(model, tune, heads=False)) for tune in ("first", "middle", "last")]
    assert all(thirds)
    assert set.union(*thirds) == {name for name, _ in model.named_parameters() if name.startswith("encoder.")}
    assert sum(map(len, thirds)) == len(set.union(*thirds))


def test_head_and_norm(architecture, make_model) -> None:
    model = make_model(architecture)
    assert set(set_trainable(model, "head")) == {"heads.class.linear.weight", "heads.class.linear.bias"}
    assert not any(module.training for module in model.train().encoder.modules())
    norms = set_trainable(model, "norm", heads=False)
    assert norms
    shapes = dict(model.named_parameters())
    assert all(shapes[name].ndim == 1 for name in norms)
    assert all(name.startswith("encoder.") for name in norms)


def test_an_encoder_by_itself_keeps_to_its_freeze(make_encoder) -> None:
    encoder = make_encoder("small_cnn")
    encoder.backbone.blocks[0].requires_grad_(False)
    encoder.train()
    assert not any(module.training for module in encoder.backbone.blocks[0].modules())
    assert encoder.training
    assert encoder.backbone.blocks[1].training


def test_freezing_is_undone_by_the_next_choice(make_model, make_images) -> None:
    model = make_model("small_cnn").train()
    set_trainable(model, "head")
    assert not model.encoder.backbone.blocks[0].training
    assert set(set_trainable(model, "all")) == {name for name, _ in model.named_parameters()}
    assert all(module.training for module in model.modules())
    model.eval()
    set_trainable(model, "first")
    assert not any(module.training for module in model.modules())


def test_bad_choices() -> None:
    tiny = PerceptionModel(Encoder(options={"widths": [4], "image_size": [8, 8]}), {})
    with pytest.raises(ConfigError, match="tune=middle"):
        set_trainable(tiny, "middle")
    with pytest.raises(ConfigError, match="use one of"):
        set_trainable(tiny, "everything")
