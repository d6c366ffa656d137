"""Depth: loss and errors by hand, unknown pixels, scale invariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.tasks import Depth


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(2, 1, 3, 4, generator=generator)
    truth = torch.rand(2, 3, 4, generator=generator) + 0.5
    truth[0, 0], truth[1, 2, 3] = 0, 0
    return output, truth


def test_the_loss_by_hand() -> None:
    # Predicted 1 m and e m where 1 m is true: d = 0 and 1.
    output, truth = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), torch.ones(1, 1, 2)
    for focus, expected in ((0.0, 0.5), (0.5, 0.5 - 0.5 * 0.25), (1.0, 0.25)):
        assert Depth(variance_focus=focus).loss(output, truth).item() == pytest.approx(expected)
    assert Depth(reference=2.0, variance_focus=0.0).loss(output, 2 * truth).item() == pytest.approx(0.5)


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 3.0])])
@pytest.mark.parametrize("focus", [0.0, 0.85])
def test_the_loss_is_the_mean_over_images_of_their_known_pixels(focus: float, weight: torch.Tensor | None) -> None:
    output, truth = maps()
    each = []
    for said, true in zip(output.numpy()[:, 0], truth.numpy(), strict=True):
        d = said[true > 0] - np.log(true[true > 0] / 0.7)
        each.append((d**2).mean() - focus * d.mean() ** 2)
    expected = np.mean(np.array(each) * (1 if weight is None else weight.numpy()))
    loss = Depth(reference=0.7, variance_focus=focus).loss(output, truth, weight)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@given(st.floats(-2, 2))
def test_with_full_focus_a_common_factor_costs_nothing(shift: float) -> None:
    output, truth = maps()
    task = Depth(variance_focus=1.0)
    assert task.loss(output + shift, truth).item() == pytest.approx(task.loss(output, truth).item(), abs=1e-4)
    full = Depth(variance_focus=0.0)
    exact = truth.clamp_min(0.1).log()[:, None]
    assert full.loss(exact + shift, truth).item() == pytest.approx(shift**2, abs=1e-4)


def test_unknown_pixels_get_no_gradient_and_an_image_without_depth_no_share() -> None:
    output, truth = maps()
    output.requires_grad_()
    Depth().loss(output, truth).backward()
    assert not output.grad[(truth == 0)[:, None]].any() and output.grad[(truth > 0)[:, None]].all()
    blank = torch.cat([truth, torch.zeros_like(truth)])
    twice = torch.cat([output, output])
    assert Depth().loss(twice, blank).item() == pytest.approx(Depth().loss(output, truth).item())
    nothing = Depth().loss(output, torch.zeros_like(truth))
    assert nothing.item() == 0.0 and nothing.requires_grad


def test_outputs_beyond_any_camera_stay_finite() -> None:
    output = torch.tensor([[1e6, -1e6, float(np.log(0.5))]]).view(1, 1, 1, 3)
    metres = Depth(reference=2.0).decode(output, (1, 3))
    assert torch.isfinite(metres).all() and metres[0, 0, 2].item() == pytest.approx(1.0)
    assert Depth().loss(output, torch.ones(1, 1, 3)).isfinite()


def test_decoding_gives_metres_at_the_images_size_and_pseudo_labels_the_same() -> None:
    output = torch.full((2, 1, 2, 3), math.log(0.25))
    task = Depth(reference=4.0)
    torch.testing.assert_close(task.decode(output, (4, 6)), torch.ones(2, 4, 6))
    metres, confidence = task.pseudo_label(output)
    torch.testing.assert_close(metres, torch.ones(2, 2, 3))
    assert confidence.shape == metres.shape


def test_the_scores_by_hand() -> None:
    truth = np.array([[[1.0, 2.0, 0.0, 4.0]]])
    said = np.array([[[1.2, 1.0, 9.0, 4.0]]])
    assert Depth().score(said, truth, (1, 4)) == pytest.approx(2 / 3)
    assert Depth(metric="abs_rel").score(said, truth, (1, 4)) == pytest.approx((0.2 + 0.5 + 0) / 3)
    details = Depth().details(said, truth, (1, 4))
    assert details["rmse"] == pytest.approx(math.sqrt((0.04 + 1) / 3))
    assert details["rmse_log"] == pytest.approx(math.sqrt((math.log(1.2) ** 2 + math.log(2) ** 2) / 3))
    assert (Depth().direction, Depth(metric="abs_rel").direction) == ("higher", "lower")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [({"variance_focus": 1.5}, "variance_focus"), ({"reference": 0.0}, "reference"), ({"metric": "rmse"}, "metric")],
)
def test_arguments_that_do_not_fit(arguments: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Depth(**arguments)
