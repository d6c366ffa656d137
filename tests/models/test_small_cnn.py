from __future__ import annotations

import pytest
import torch
from torch import nn

from perceptransfer.core.errors import ConfigError
from perceptransfer.models import Encoder, SmallCNN


def test_number_of_weights_by_hand() -> None:
    # convolutions 3*3*(3*16 + 16*32 + 32*64), a pair for each norm channel, bottleneck 64*4*4 -> 256
    expected = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 64 * 16 * 256 + 2 * 256
    assert sum(p.numel() for p in SmallCNN().parameters()) == expected


@pytest.mark.parametrize("pool", ["flatten", "avg", "avgmax"])
@pytest.mark.parametrize("convs", [1, 2])
def test_variants(pool, convs) -> None:
    network = SmallCNN((8, 12), dim=20, convs_per_block=convs, pool=pool, image_size=(32, 48), dropout=0.1)
    assert network(torch.randn(4, 3, 32, 48)).shape == (4, 20)
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == 2 * convs
    last, maps = network.forward_intermediates(torch.randn(4, 3, 32, 48), indices=[1])
    assert [tuple(level.shape) for level in maps] == [(4, 12, 8, 12)]
    assert torch.equal(last, maps[0])


@pytest.mark.parametrize(
    ("downsample", "sides", "convolutions", "pools"),
    [
        ("max", [32, 16, 8], [(3, 1), (3, 1), (3, 1)], 3),
        ("stride", [32, 16, 8], [(5, 2), (3, 2), (3, 2)], 0),
        ("stem", [16, 8, 8], [(5, 2), (3, 1), (3, 1)], 2),
    ],
)
def test_ways_to_halve_an_image(downsample, sides, convolutions, pools) -> None:
    network = SmallCNN((4, 5, 6), dim=7, image_size=(64, 64), downsample=downsample)
    last, maps = network.forward_intermediates(torch.randn(2, 3, 64, 64))
    assert [level.shape[-1] for level in maps] == sides
    assert [64 // info["reduction"] for info in network.feature_info] == sides
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [(layer.kernel_size[0], layer.stride[0]) for layer in layers] == convolutions
    assert sum(isinstance(m, nn.MaxPool2d) for m in network.modules()) == pools
    assert network.forward_head(last).shape == (2, 7)


def test_pooling_by_hand() -> None:
    maps = torch.randn(2, 5, 3, 4)
    seen = {}
    for pool in ("flatten", "avg", "avgmax"):
        network = SmallCNN((5,), dim=2, pool=pool, image_size=(6, 8))
        network.bottleneck = nn.Identity()
        seen[pool] = network.forward_head(maps)
    assert torch.equal(seen["flatten"], maps.reshape(2, -1))
    torch.testing.assert_close(seen["avg"], maps.sum((2, 3)) / 12)
    torch.testing.assert_close(seen["avgmax"], torch.cat([maps.mean((2, 3)), maps.flatten(2).max(2).values], 1))


def test_places_need_the_size_that_averages_do_not() -> None:
    with pytest.raises(ConfigError, match=r"\(32, 32\)") as caught:
        Encoder()(torch.rand(2, 3, 64, 64))
    assert caught.value.key == "encoder.options.image_size"
    assert Encoder(options={"pool": "avgmax"})(torch.rand(2, 3, 64, 40)).pooled.shape == (2, 256)


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": ()},
        {"widths": (8, 0)},
        {"dim": 0},
        {"convs_per_block": 0},
        {"pool": "median"},
        {"widths": (4, 4, 4), "image_size": (7, 32)},
    ],
)
def test_bad_arguments(arguments) -> None:
    with pytest.raises(ConfigError):
        SmallCNN(**arguments)
