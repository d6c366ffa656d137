"""Try the adapters against the real libraries: ``python benchmarks/policy/try_adapters.py robomimic BUNDLE``.

Run it in the library's own environment with this package on the path::

    pip install pytest robomimic==0.3.0 six
    pip install pytest lerobot==0.4.4
    pip install pytest robomimic==0.3.0 six diffusers einops zarr  # and a checkout of diffusion_policy on the path

The bundle has to be of an encoder with a spatial map of at least 2 x 2. Each check fails with an assertion. timm and
transformers are tried by ``tests/policy/test_adapters.py``.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy import load, read_contract


def images_of(bundle: Path, count: int) -> tuple[Tensor, Tensor]:
    """Noise as the camera and as a library's loader gives it."""
    spec = read_contract(bundle).images
    images = torch.randint(0, 256, (count, spec.height, spec.width, 3), dtype=torch.uint8)
    return images, images.permute(0, 3, 1, 2).float() / 255


def train_a_little(module: torch.nn.Module, loss_of: Any, steps: int = 3) -> None:
    """A few optimiser steps in training mode."""
    module.train()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()


def try_robomimic(bundle: Path) -> None:
    """A VisualCore with our backbone and robomimic's pooling trains and leaves the encoder as it is."""
    from robomimic.models.obs_core import VisualCore

    from perceptransfer.policy.adapters.robomimic import register

    register()
    images, floats = images_of(bundle, 4)
    core = VisualCore(
        input_shape=list(floats.shape[1:]),
        backbone_class="BundleConv",
        backbone_kwargs={"bundle": str(bundle)},
        pool_class="SpatialSoftmax",
        pool_kwargs={"num_kp": 8},
        feature_dimension=16,
    )
    assert tuple(core(floats).shape) == (4, 16)
    assert core.output_shape(list(floats.shape[1:])) == [16]
    train_a_little(core, lambda: core(floats).square().sum())
    core.backbone.encoder.verify()
    assert torch.equal(core.backbone(floats), load(bundle)(images).spatial)
    print("robomimic: VisualCore trained on the bundle's spatial map; the encoder did not move")


def try_lerobot(bundle: Path) -> None:
    """An ACTPolicy with our backbone trains, leaves the encoder as it is, and is saved and loaded; twofold
    normalisation is refused.
    """  # noqa: D205 - one sentence
    from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from safetensors.torch import load_model

    from perceptransfer.policy.adapters.lerobot import swap_act_backbone

    images, floats = images_of(bundle, 4)

    def make(mode: Any) -> Any:
        config = ACTConfig(
            input_features={
                "observation.images.front": PolicyFeature(FeatureType.VISUAL, tuple(floats.shape[1:])),
                "observation.state": PolicyFeature(FeatureType.STATE, (4,)),
            },
            output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
            normalization_mapping={"VISUAL": mode},
            pretrained_backbone_weights=None,
            chunk_size=5,
            n_action_steps=5,
            dim_model=32,
            dim_feedforward=32,
            n_heads=2,
            device="cpu",
        )
        return ACTPolicy(config)

    with pytest.raises(ConfigError, match="IDENTITY"):
        swap_act_backbone(make(NormalizationMode.MEAN_STD), bundle)
    policy = make(NormalizationMode.IDENTITY)
    backbone = swap_act_backbone(policy, bundle)
    batch = {
        "observation.images.front": floats,
        "observation.state": torch.rand(4, 4),
        "action": torch.rand(4, 5, 2),
        "action_is_pad": torch.zeros(4, 5, dtype=torch.bool),
    }
    assert policy.get_optim_params()
    train_a_little(policy, lambda: policy(dict(batch))[0])
    backbone.encoder.verify()
    assert torch.equal(policy.model.backbone(floats)["feature_map"], load(bundle)(images).spatial)
    policy.eval()
    seen = {name: value for name, value in batch.items() if name.startswith("observation")}
    action = policy.select_action(dict(seen))
    assert tuple(action.shape) == (4, 2)
    assert torch.isfinite(action).all()
    again = make(NormalizationMode.IDENTITY)
    swap_act_backbone(again, bundle).encoder.verify()
    with TemporaryDirectory() as folder:
        policy.save_pretrained(folder)
        load_model(again, Path(folder) / "model.safetensors")
    again.eval()
    assert torch.equal(again.predict_action_chunk(dict(seen)), policy.predict_action_chunk(dict(seen)))
    print("lerobot: ACTPolicy trained, acted and was reloaded on the bundle's spatial map; the encoder did not move")


def try_diffusion_policy(bundle: Path) -> None:
    """A DiffusionUnetImagePolicy on two cameras and joints trains beside its moving average, and both act."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusion_policy.common.normalize_util import get_image_range_normalizer
    from diffusion_policy.model.common.normalizer import LinearNormalizer, SingleFieldLinearNormalizer
    from diffusion_policy.model.diffusion.ema_model import EMAModel
    from diffusion_policy.policy.diffusion_unet_image_policy import DiffusionUnetImagePolicy

    from perceptransfer.policy.adapters.diffusion_policy import BundleObsEncoder

    images, floats = images_of(bundle, 4)
    rgb, joints, actions = {"shape": list(floats.shape[1:]), "type": "rgb"}, torch.rand(4, 4, 6), torch.rand(4, 4, 2)
    meta = {"obs": {"front": rgb, "wrist": rgb, "joints": {"shape": [6]}}, "action": {"shape": [2]}}
    policy = DiffusionUnetImagePolicy(
        shape_meta=meta,
        noise_scheduler=DDPMScheduler(num_train_timesteps=5),
        obs_encoder=BundleObsEncoder(bundle, meta),
        horizon=4,
        n_action_steps=2,
        n_obs_steps=2,
        down_dims=(16, 32),
    )
    normalizer = LinearNormalizer()
    for name in ("front", "wrist"):
        normalizer[name] = get_image_range_normalizer()
    for name, values in (("joints", joints), ("action", actions)):
        normalizer[name] = SingleFieldLinearNormalizer.create_fit(values)
    policy.set_normalizer(normalizer)
    average = EMAModel(deepcopy(policy))
    pictures = floats[:, None].expand(-1, 4, -1, -1, -1)
    observed = {"front": pictures, "wrist": pictures.flip(0), "joints": joints}
    train_a_little(policy, lambda: policy.compute_loss({"obs": observed, "action": actions}))
    average.step(policy)
    found = load(bundle)(images).pooled
    for model in (policy, average.averaged_model):
        model.obs_encoder.encoder.verify()
        seen = model.normalizer.normalize({name: it[:, 0] for name, it in observed.items()})
        assert torch.equal(model.obs_encoder(seen), torch.cat([found, found.flip(0), seen["joints"]], dim=1))
        action = model.predict_action(observed)["action"]
        assert tuple(action.shape) == (4, 2, 2)
        assert torch.isfinite(action).all()
    print("diffusion_policy: the policy and its average trained and acted on pooled features; the encoder did not move")


TRIED = {"robomimic": try_robomimic, "lerobot": try_lerobot, "diffusion_policy": try_diffusion_policy}


def main() -> None:
    """Try one library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=TRIED)
    parser.add_argument("bundle", type=Path, help="folder that perceptransfer export wrote")
    arguments = parser.parse_args()
    TRIED[arguments.library](arguments.bundle)


if __name__ == "__main__":
    main()
