"""Segmentation: loss and score by hand, ignored pixels, weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from perceptransfer.core.errors import ConfigError
from perceptransfer.tasks import Segmentation

IGNORE = 255


def logits(seed: int = 0, size: tuple[int, int] = (3, 4)) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))


def masks(seed: int = 0) -> torch.Tensor:
    values = torch.randint(0, 3, (2, 3, 4), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    values[0, 0], values[1, 2, 1] = IGNORE, IGNORE
    return values


def slow_loss(output: np.ndarray, truth: np.ndarray, weight: np.ndarray, by_class: np.ndarray) -> float:
    """Pixel by pixel."""
    total, count = 0.0, 0
    for i, rows in enumerate(truth):
        for y, row in enumerate(rows):
            for x, true in enumerate(row):
                if true == IGNORE:
                    continue
                values = np.exp(output[i, :, y, x])
                total -= weight[i, y, x] * by_class[true] * math.log(values[true] / values.sum())
                count += 1
    return total / count


def test_the_loss_of_one_pixel_by_hand() -> None:
    output = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)
    for true, share in ((0, 0.25), (1, 0.75)):
        loss = Segmentation(2).loss(output, torch.full((1, 1, 1), true, dtype=torch.uint8))
        assert loss.item() == pytest.approx(-math.log(share))


@pytest.mark.parametrize("weighted", [None, "image", "pixel"])
@pytest.mark.parametrize("by_class", [None, [1.0, 0.5, 3.0]])
def test_the_loss_is_the_mean_over_counted_pixels(weighted: str | None, by_class: list[float] | None) -> None:
    given = {None: None, "image": torch.tensor([0.3, 2.0]), "pixel": torch.rand(2, 3, 4)}[weighted]
    each = (
        np.ones((2, 3, 4))
        if given is None
        else np.broadcast_to(given.reshape(2, *given.shape[1:] or (1, 1)), (2, 3, 4))
    )
    expected = slow_loss(logits().numpy(), masks().numpy(), each, np.array(by_class or [1, 1, 1]))
    assert Segmentation(3, class_weights=by_class).loss(logits(), masks(), given).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_ignored_pixels_get_no_gradient() -> None:
    output = logits().requires_grad_()
    Segmentation(3).loss(output, masks()).backward()
    ignored = (masks() == IGNORE)[:, None].expand_as(output)
    assert not output.grad[ignored].any() and output.grad[~ignored].all()
    nothing = Segmentation(3).loss(output, torch.full((2, 3, 4), IGNORE, dtype=torch.uint8))
    assert nothing.item() == 0.0 and nothing.requires_grad


def test_logits_of_a_coarser_map_are_interpolated() -> None:
    task, coarse = Segmentation(2), torch.zeros(1, 2, 2, 2)
    coarse[0, 1, 0], coarse[0, 1, 1] = -3, 3
    # Rows at 1/8, 3/8, 5/8, 7/8: the class changes in the middle, the slope between the two centres is linear.
    assert task.decode(coarse, (4, 4))[0, :, 0].tolist() == [0, 0, 1, 1]
    assert task.decode(coarse, (4, 4)).dtype == torch.uint8
    values = [-3.0, -1.5, 1.5, 3.0]
    expected = np.mean([math.log(1 + math.exp(-value)) for value in values])
    loss = task.loss(coarse, torch.ones(1, 4, 4, dtype=torch.uint8))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_pseudo_labels_are_the_likeliest_class_and_its_share() -> None:
    label, confidence = Segmentation(3).pseudo_label(logits())
    shares = torch.softmax(logits(), 1)
    assert torch.equal(label.long(), shares.argmax(1)) and label.dtype == torch.uint8
    torch.testing.assert_close(confidence, shares.amax(1))


def test_the_score_by_hand_and_the_classes_that_count() -> None:
    truth = np.array([[[0, 0, 1, 1], [2, 2, IGNORE, 1]]], np.uint8)
    said = np.array([[[0, 1, 1, 1], [2, 0, 2, 1]]], np.uint8)
    # 0: 1 of 3, 1: 3 of 4, 2: 1 of 2
    task = Segmentation(3)
    assert task.score(said, truth, (2, 4)) == pytest.approx((1 / 3 + 3 / 4 + 1 / 2) / 3)
    assert Segmentation(3, scored=[1]).score(said, truth, (2, 4)) == pytest.approx(3 / 4)
    details = task.details(said, truth, (2, 4))
    assert details["pixel_accuracy"] == pytest.approx(5 / 7) and details["iou_2"] == pytest.approx(1 / 2)
    assert Segmentation(4).details(said, truth, (2, 4))["iou_3"] is None


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"num_classes": 1}, "num_classes"),
        ({"num_classes": 256}, "num_classes"),
        ({"num_classes": 3, "scored": [3]}, "scored"),
        ({"num_classes": 3, "scored": []}, "scored"),
        ({"num_classes": 3, "class_weights": [1.0, 2.0]}, "class_weights"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Segmentation(**arguments)
