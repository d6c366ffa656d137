"""Keypoints: loss and score by hand, symmetric objects, reading a heatmap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import ConfigError
from perceptransfer.tasks import Keypoints


def heat(places: np.ndarray, cells: tuple[int, int], sigma: float) -> torch.Tensor:
    """Logits ``[n, K, h, w]`` of Gaussians about ``places [n, K, 2]`` (x, y in cells)."""
    rows, columns = np.indices(cells)
    square = (columns - places[..., 0, None, None]) ** 2 + (rows - places[..., 1, None, None]) ** 2
    return torch.from_numpy(-square / (2 * sigma**2)).float()


def slow_loss(output: np.ndarray, label: np.ndarray, sigma: float, weight: np.ndarray) -> float:
    """Image by image, labelling by labelling, keypoint by keypoint, cell by cell."""
    height, width = output.shape[2:]
    deviation = sigma * max(height, width)
    losses = []
    for image, labellings, share in zip(output, label, weight, strict=True):
        options = []
        for labelling in labellings:
            parts = []
            for logits, (x, y, v) in zip(image, labelling, strict=True):
                if not (v > 0 and 0 <= x < 1 and 0 <= y < 1):
                    continue
                belief = logits - math.log(np.exp(logits).sum())
                target = np.zeros((height, width))
                for row in range(height):
                    for column in range(width):
                        far = (row - (y * height - 0.5)) ** 2 + (column - (x * width - 0.5)) ** 2
                        target[row, column] = math.exp(-far / (2 * deviation**2))
                parts.append(-(target / target.sum() * belief).sum())
            if parts:
                options.append(np.mean(parts))
        if options:
            losses.append(share * min(options))
    return float(np.mean(losses)) if losses else 0.0


def labels(seed: int = 0) -> torch.Tensor:
    """Three images with two labellings of four keypoints: hidden, unlabelled, out of the picture, one not used."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.cat([torch.rand(3, 2, 4, 2, generator=generator), torch.full((3, 2, 4, 1), 2.0)], -1)
    values[0, :, 0, 2], values[0, 0, 1, 2], values[1, :, 2, 0], values[2, 1, :, 2] = 0, 1, 1.2, 0
    return values


@pytest.mark.parametrize("weight", [None, [0.2, 1.0, 3.0]])
@pytest.mark.parametrize("sigma", [0.03, 0.1])
def test_the_loss_equals_loops(weight: list[float] | None, sigma: float) -> None:
    output = torch.randn(3, 4, 5, 8)
    given = None if weight is None else torch.tensor(weight)
    expected = slow_loss(output.numpy(), labels().numpy(), sigma, np.array(weight or [1, 1, 1]))
    assert Keypoints(4, sigma=sigma).loss(output, labels(), given).item() == pytest.approx(expected, rel=1e-4)


def test_a_belief_that_is_the_target_costs_its_entropy_and_any_other_more() -> None:
    task, label = Keypoints(1, sigma=0.1), torch.tensor([[[[0.4, 0.6, 2.0]]]])
    place = np.array([[[0.4 * 12 - 0.5, 0.6 * 10 - 0.5]]])
    right = heat(place, (10, 12), 0.1 * 12)
    share = right.flatten().softmax(0)
    entropy = -(share * share.log()).sum().item()
    assert task.loss(right, label).item() == pytest.approx(entropy, rel=1e-5)
    for other in (heat(place + 1, (10, 12), 1.2), heat(place, (10, 12), 0.6), torch.zeros(1, 1, 10, 12)):
        assert task.loss(other, label).item() > entropy + 0.05


def test_of_two_labellings_the_better_one_counts() -> None:
    one = labels()[:, :1]
    task, output = Keypoints(4), torch.randn(3, 4, 8, 8)
    other = one.flip(2)
    both = torch.cat([one, other], 1)
    single = [min(task.loss(output[i : i + 1], way[i : i + 1]).item() for way in (one, other)) for i in range(3)]
    assert task.loss(output, both).item() == pytest.approx(np.mean(single), rel=1e-5)
    assert torch.equal(task.loss(output, both), task.loss(output, both.flip(1)))


def test_images_without_a_keypoint_in_the_picture_cost_nothing() -> None:
    task, output = Keypoints(4), torch.randn(3, 4, 8, 8, requires_grad=True)
    label = labels()
    label[1, ..., :2] += 2
    alone = task.loss(output[[0, 2]], label[[0, 2]])
    whole = task.loss(output, label)
    assert whole.item() == pytest.approx(alone.item(), rel=1e-5)
    whole.backward()
    assert torch.isfinite(output.grad).all() and not output.grad[1].any() and output.grad[2].any()
    nothing = task.loss(output, torch.zeros(3, 1, 4, 3))
    assert nothing.item() == 0.0
    nothing.backward()


@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.sampled_from([(16, 16), (12, 20), (24, 24)]))
def test_a_place_is_read_within_a_fraction_of_a_cell(x: float, y: float, cells: tuple[int, int]) -> None:
    task, size = Keypoints(1), (cells[0] * 4, cells[1] * 4)
    target = task._gaussians(torch.tensor([[[[x, y, 2.0]]]]), cells).view(1, 1, *cells)
    decoded = task.decode(target.log(), size)[0, 0]
    assert abs(decoded[0] - (x * size[1] - 0.5)) < 0.5, "an eighth of a cell of four pixels"
    assert abs(decoded[1] - (y * size[0] - 0.5)) < 0.5
    assert decoded[2] > 0.85
    pseudo, confidence = task.pseudo_label(target.log())
    assert pseudo.shape == (1, 1, 1, 3) and pseudo[..., 2].item() == 2 and confidence.item() == decoded[2]
    assert pseudo[0, 0, 0, 0].item() == pytest.approx((decoded[0].item() + 0.5) / size[1], abs=1e-5)


def test_the_highest_peak_is_read_and_a_far_second_one_lowers_confidence_only() -> None:
    task = Keypoints(1, window=1)
    logits = torch.full((1, 1, 9, 9), -20.0)
    logits[0, 0, 2, 3], logits[0, 0, 7, 7] = math.log(0.6), math.log(0.4)
    x, y, confidence = task.decode(logits, (9, 9))[0, 0].tolist()
    assert (x, y) == (pytest.approx(3), pytest.approx(2)) and confidence == pytest.approx(0.6, abs=1e-4)
    corner = torch.full((1, 1, 9, 9), -20.0)
    corner[0, 0, 0, 0] = 5
    assert task.decode(corner, (9, 9))[0, 0, :2].tolist() == pytest.approx([0, 0], abs=1e-4)


def test_the_score_by_hand() -> None:
    truth = np.array([[[[10, 10, 2], [20, 10, 1], [10, 30, 0], [20, 30, 2]]]], np.float32)
    said = np.array([[[13, 14, 1], [20, 10.5, 1], [0, 0, 1], [30, 30, 1]]], np.float32)  # 5, 0.5, –, 10 pixels off
    task = Keypoints(4, threshold=0.1)
    assert task.metric == "pck@0.1"
    assert task.score(said, truth, (40, 60)) == pytest.approx(2 / 3), "within 6 pixels, the longer side counts"
    assert task.score(said, truth, (40, 40)) == pytest.approx(1 / 3)
    # Box of the labelled keypoints: 10 wide, 20 high.
    assert Keypoints(4, threshold=0.25, reference="box").score(said, truth, (40, 60)) == pytest.approx(2 / 3)
    details = task.details(said, truth, (40, 60))
    assert details["mean_error_px"] == pytest.approx(15.5 / 3) and details["median_error_px"] == pytest.approx(5)
    assert [details[f"pck@{at}"] for at in ("0.05", "0.1", "0.2")] == pytest.approx([1 / 3, 2 / 3, 1])


def test_the_score_takes_the_better_labelling_of_an_image() -> None:
    first = np.array([[[10, 10, 2], [30, 30, 2]]], np.float32)
    truth = np.stack([first, first[:, ::-1]], 1)
    said = np.array([[[30, 30, 1], [11, 10, 1]]], np.float32)
    task = Keypoints(2, threshold=0.05)
    assert task.score(said, truth, (40, 40)) == 1.0
    assert task.score(said, truth[:, :1], (40, 40)) == 0.0
    unused = np.concatenate([truth, np.zeros_like(truth)], 1)
    assert task.score(said, unused, (40, 40)) == 1.0
    mixed = np.array([[[10, 10, 1], [11, 10, 1]]], np.float32)
    assert task.score(mixed, truth, (40, 40)) == 0.5, "not each keypoint the better one of its own"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"num_keypoints": 0}, "num_keypoints"),
        ({"num_keypoints": 2, "threshold": 0.0}, "threshold"),
        ({"num_keypoints": 2, "sigma": -1.0}, "sigma"),
        ({"num_keypoints": 2, "reference": "head"}, "reference"),
        ({"num_keypoints": 2, "window": -1}, "window"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Keypoints(**arguments)
