"""Bars of pixels and keypoints by hand, squares, weights, and views that are moved back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.data import small_views
from perceptransfer.data.view import View
from perceptransfer.learning import Bars
from perceptransfer.learning.mean_teacher import blacked_out
from perceptransfer.learning.pseudo_targets import pseudo_keypoints, pseudo_masks
from perceptransfer.tasks import Keypoints


def test_pixels_below_the_bar_of_their_class_are_ignored() -> None:
    labels = np.array([[[0, 0, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 1]]], np.uint8)
    sure = np.array([[[0.99, 0.6, 0.7], [0.5, 0.4, 0.3]], [[0.97, 0.96, 0.8], [0.9, 0.5, 0.2]]])
    masks, report = pseudo_masks(labels, sure, Bars(keep=0.25, threshold=0.95))
    # class 0: threshold .95 keeps three of eight; class 1: the upper quartile of .5 .4 .3 .2 is .425
    expected = [[[0, 255, 255], [1, 255, 255]], [[0, 0, 255], [255, 255, 255]]]
    assert masks.tolist() == expected and masks.dtype == np.uint8
    assert report["kept_per_class"] == pytest.approx({"0": 3 / 8, "1": 1 / 4})
    assert report["mean_confidence"] == pytest.approx(sure.mean())


def test_keypoints_count_where_views_agree_and_the_bar_is_reached() -> None:
    first = np.array([[[10.0, 10], [5, 5]], [[20, 20], [6, 6]], [[30, 30], [7, 7]]])
    places = np.stack([first, first + np.array([3.0, 0]), first - np.array([3.0, 0])])
    places[2, 1, 0] += [0, 9.0]  # image 1, keypoint 0: found elsewhere in one view
    sure = np.array([[0.9, 0.2], [0.99, 0.4], [0.5, 0.3]])
    answers, report = pseudo_keypoints(places, sure, Bars(keep=0.5, threshold=0.95, agreement=0.1), 40)
    assert answers.shape == (3, 1, 2, 3) and answers.dtype == np.float32
    # keypoint 0: of images 0 and 2 the surer half; keypoint 1: the median .3 of all three is the bar
    assert answers[:, 0, :, 2].tolist() == [[2, 0], [0, 2], [0, 2]]
    assert answers[0, 0, 0, :2].tolist() == [10, 10] and answers[1, 0, 0, :2].tolist() == [20, 23]
    assert report["agreeing"] == pytest.approx(5 / 6) and report["kept_per_keypoint"] == pytest.approx([1 / 3, 2 / 3])


def test_no_agreement_means_no_keypoint() -> None:
    places = np.zeros((2, 3, 1, 2))
    places[1] += 50
    answers, report = pseudo_keypoints(places, np.ones((3, 1)), Bars(1.0, 0.5), 40)
    assert not answers[..., 2].any() and report["agreeing"] == 0


@given(seed=st.integers(0, 500), bend=st.booleans())
def test_points_moved_with_a_view_and_back_are_where_they_were(seed: int, bend: bool) -> None:
    rng = np.random.default_rng(seed)
    view = small_views(3, (30, 40), rng)
    if bend:
        view = View(view.matrix, rng.uniform(-0.1, 0.1, 3), view.mirrored, view.size)
    points = rng.uniform(0, 30, (3, 5, 2))
    np.testing.assert_allclose(view.origins(view.points(points)), points, atol=1e-6)
    np.testing.assert_allclose(view.points(view.origins(points)), points, atol=1e-6)


def test_squares_are_black_as_often_as_asked() -> None:
    images = torch.ones(200, 3, 12, 18)
    out = blacked_out(images, 0.3, cells=6, step=4)  # squares of 3 pixels
    assert torch.equal(out, blacked_out(images, 0.3, 6, 4)) and not torch.equal(out, blacked_out(images, 0.3, 6, 5))
    cells = out.unfold(2, 3, 3).unfold(3, 3, 3).flatten(4)
    assert torch.equal(cells.amin(-1), cells.amax(-1)) and torch.equal(out[:, 0], out[:, 2])
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(blacked_out(images, 0.0, 6, 0), images) and not blacked_out(images, 1.0, 6, 0).any()
    assert blacked_out(torch.ones(1, 3, 10, 7), 0.5, 3, 0).shape == (1, 3, 10, 7)


def test_a_keypoints_weight_scales_its_share_of_the_loss() -> None:
    task = Keypoints(2, sigma=0.05)
    output = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    label = torch.rand(3, 1, 2, 3, generator=torch.Generator().manual_seed(1))
    label[..., 2] = 2
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.25], [0.0, 0.0]])
    single = torch.zeros(3, 2)
    for i in range(3):
        for k in range(2):
            alone = label[i : i + 1].clone()
            alone[0, 0, 1 - k, 2] = 0
            single[i, k] = task.loss(output[i : i + 1], alone)
    torch.testing.assert_close(task.loss(output, label, weight), (single * weight).sum() / 2 / 3)
    torch.testing.assert_close(task.loss(output, label, torch.ones(3, 2)), task.loss(output, label))
