"""Places as features: by hand, and that they move with the image."""

from __future__ import annotations

import pytest
import torch

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.models import ClassificationHead, KeypointEncoder, PerceptionModel, set_trainable, soft_argmax

SMALL = {"widths": [8, 16, 16], "dim": 8, "downsample": "stride", "pool": "avg"}


def encoder(**changes: object) -> KeypointEncoder:
    torch.manual_seed(0)
    given = {"options": SMALL, "keypoints": 3, "pose": 2, "stride": 2, "width": 8, "hidden": 8, **changes}
    return KeypointEncoder(**given).eval()  # type: ignore[arg-type]  # a helper that overrides any argument


def test_soft_argmax_by_hand() -> None:
    shares = torch.zeros(1, 2, 2, 4)
    shares[0, 0, 1, 3] = 1  # lower right of 2 x 4 pixels
    shares[0, 1, :, 0] = 0.5  # between the two pixels of the first column
    assert soft_argmax(shares)[0].tolist() == [[0.75, 0.5], [-0.75, 0.0]]


def test_pooled_holds_the_places_of_the_last_map_and_a_pose_of_them_alone() -> None:
    net = encoder()
    features = net(torch.rand(4, 3, 32, 48))
    assert features.pooled.shape == (4, net.dim) == (4, 8)
    assert features.pyramid[-1].shape == (4, 3, 16, 24) and net.channels[-1] == 3 and net.strides[-1] == 2
    assert [len(level[0]) for level in features.pyramid] == net.channels
    torch.testing.assert_close(features.pyramid[-1].sum((2, 3)), torch.ones(4, 3))
    places = features.pooled[:, :6]
    torch.testing.assert_close(soft_argmax(features.pyramid[-1]).flatten(1), places)
    assert net.regress is not None
    torch.testing.assert_close(net.regress(places), features.pooled[:, 6:])


def test_places_move_with_the_image() -> None:
    torch.manual_seed(1)
    net = encoder(stride=2)
    patch = torch.rand(1, 3, 8, 8)
    canvas = torch.zeros(2, 3, 96, 96)
    canvas[0, :, 40:48, 40:48], canvas[1, :, 48:56, 32:40] = patch[0], patch[0]
    with torch.no_grad():
        scores = net(canvas).pyramid[-1].log()
    inner = slice(16, 32)  # cells whose field of view holds no border; 8 px are 4 cells of stride 2
    moved = scores[1][:, inner.start + 4 : inner.stop + 4, inner.start - 4 : inner.stop - 4]
    still = scores[0][:, inner, inner]
    # The softmax runs over both whole maps, so scores agree up to one constant a keypoint.
    constant = (moved - still).mean((1, 2), keepdim=True)
    torch.testing.assert_close(moved, still + constant, rtol=0, atol=1e-4)


def test_configuration_and_other_backbones() -> None:
    again = instantiate(config_of(encoder()))
    assert isinstance(again, KeypointEncoder) and config_of(again) == config_of(encoder())
    torch.manual_seed(0)
    vit = KeypointEncoder("vit_tiny_patch16_224", options={"img_size": 64, "depth": 4}, stride=16, pose=0).eval()
    assert vit(torch.rand(2, 3, 64, 64)).pooled.shape == (2, 8)


@pytest.mark.parametrize(("changes", "key"), [({"stride": 3}, "encoder.stride"), ({"keypoints": 0}, "encoder")])
def test_bad_arguments(changes: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        encoder(**changes)
    assert caught.value.key == key


def test_what_stands_on_the_backbone_is_tuned_as_its_end() -> None:
    net = encoder()
    model = PerceptionModel(net, {"class": ClassificationHead(net.dim, 2)})
    own = {name for name, _ in model.named_parameters() if name.startswith(("encoder.lateral", "encoder.score"))}
    for tune, moves in (("all", True), ("last", True), ("first", False), ("head", False)):
        trained = set(set_trainable(model, tune))  # type: ignore[arg-type]  # one of the literal's names
        assert own and (own <= trained if moves else not own & trained)
