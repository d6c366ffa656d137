"""Frozen means: no gradient, one mode, and weights that answer to a hash, whatever the policy around it does."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from perceptransfer.core.errors import BundleError
from perceptransfer.policy import load_encoder
from perceptransfer.policy.adapters.vc1 import Pooled
from perceptransfer.policy.torch_backend import TorchEncoder
from tests.bundles import images_for, own_bundle, shared_bundle


class Policy(nn.Module):
    """A head on the frozen encoder."""

    def __init__(self, bundle: Path) -> None:
        super().__init__()
        self.encoder = load_encoder(bundle, "torch")
        self.head = nn.Sequential(nn.Linear(self.encoder.dim, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(images).pooled)


@pytest.mark.parametrize("kind", ["small_cnn", "resnet", "vit"])
def test_training_the_policy_around_it_changes_nothing(kind: str) -> None:
    bundle = shared_bundle(kind)
    policy, images = Policy(bundle), images_for(bundle, 8)
    before = policy.encoder(images)
    policy.train()
    policy.requires_grad_(True)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1.0, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        policy(images).square().sum().backward()
        optimizer.step()
    policy.encoder.verify()
    after = policy.encoder(images)
    assert torch.equal(before.pooled, after.pooled) and torch.equal(before.spatial, after.spatial)
    assert policy.head.training and not policy.encoder.training


def test_an_optimiser_never_sees_its_weights_and_the_state_dict_does() -> None:
    policy = Policy(shared_bundle("resnet"))
    assert not [name for name, _ in policy.named_parameters() if name.startswith("encoder.")]
    assert any(name.endswith("backbone.conv1.weight") for name in policy.state_dict())


def test_no_gradient_even_where_one_is_asked_for() -> None:
    bundle = shared_bundle("small_cnn")
    with torch.enable_grad():
        features = load_encoder(bundle, "torch")(images_for(bundle))
    assert not features.pooled.requires_grad and not features.spatial.requires_grad
    assert not features.pooled.is_inference(), "a head could not be trained on inference tensors"


def weight(encoder: TorchEncoder) -> torch.Tensor:
    return dict(encoder.program.named_buffers())["encoder.blocks.0.0.weight".replace("blocks", "backbone.blocks")]


def statistic(encoder: TorchEncoder) -> torch.Tensor:
    return next(tensor for name, tensor in encoder.program.named_buffers() if name.endswith("running_mean"))


@pytest.mark.parametrize(("pick", "named"), [(weight, "weights"), (statistic, "batch-norm statistics")])
def test_one_changed_number_is_found(pick, named: str) -> None:  # type: ignore[no-untyped-def]
    encoder = load_encoder(shared_bundle("small_cnn"), "torch")
    encoder.verify()
    pick(encoder).view(-1)[0] += 1e-6
    with pytest.raises(BundleError, match=named):
        encoder.verify()


def test_a_change_of_precision_is_found() -> None:
    policy = Policy(shared_bundle("small_cnn")).half()
    with pytest.raises(BundleError, match="in memory"):
        policy.encoder.verify()


def test_a_loaded_state_dict_of_another_encoder_is_found() -> None:
    policy = Policy(shared_bundle("small_cnn"))
    policy.load_state_dict({name: torch.ones_like(value) for name, value in policy.state_dict().items()})
    with pytest.raises(BundleError, match="in memory"):
        policy.encoder.verify()


def test_a_weight_that_was_made_trainable_is_found() -> None:
    encoder = load_encoder(shared_bundle("small_cnn"), "torch")
    weight(encoder).requires_grad_(True)
    with pytest.raises(BundleError, match="takes gradients"):
        encoder.verify()


def test_a_file_that_changes_under_a_running_session_is_found(tmp_path: Path) -> None:
    bundle = own_bundle("small_cnn", tmp_path)
    encoder = load_encoder(bundle, "onnx")
    encoder.verify()
    (bundle / "encoder.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        encoder.verify()


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_policy_with_it_can_be_copied_as_for_an_average_of_weights(backend: str) -> None:
    bundle = shared_bundle("small_cnn")
    model, images = Pooled(bundle, backend), images_for(bundle)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(images), model(images))
    twin.train().encoder.verify()
