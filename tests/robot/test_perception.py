"""Frames with free labels, and an encoder pretrained on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceptransfer.alignment import CORAL
from perceptransfer.core.config import instantiate
from perceptransfer.core.errors import DataError
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.models import KeypointEncoder
from perceptransfer.robot.frames import Frames, draw_frames, redraw
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.perception import encode, look_shift, pose_checkpoint, pose_errors, train_pose_encoder
from perceptransfer.robot.worlds import Reach

SIZE = 48


@pytest.fixture(scope="module")
def frames() -> Frames:
    return draw_frames("reach", Look(), 240, size=SIZE)


def small(keypoints: int = 4) -> KeypointEncoder:
    seed_everything(0)
    options = {"widths": [8, 16, 32], "dim": 8, "downsample": "stride", "pool": "avg"}
    return KeypointEncoder(options=options, keypoints=keypoints, pose=2, stride=2, width=16, hidden=32)


def test_labels_lie_on_what_they_name(frames: Frames) -> None:
    assert frames.images.shape == (240, SIZE, SIZE, 3) and frames.keypoints.shape == (240, 4, 2)
    column, row = np.rint((frames.keypoints[:, 3].T + 1) * SIZE / 2 - 0.5).astype(int)
    colours = frames.images[np.arange(240), row, column].astype(int)
    red = colours[:, 0] > colours[:, 1:].max(1) + 40
    # The arm hides some of the discs; the default look has no other red thing.
    assert 0.5 < red.mean() < 1
    radius, angle = np.hypot(*frames.pose.T), np.degrees(np.arctan2(frames.pose[:, 1], frames.pose[:, 0]))
    assert ((radius > 0.169) & (radius < 0.331)).all() and not ((angle > 15) & (angle < 33)).any(), "not held out"


def test_frames_depend_on_their_seed_only(frames: Frames) -> None:
    again = draw_frames("reach", Look(), 12, size=SIZE)
    other = draw_frames("reach", Look(), 12, size=SIZE, seed=1)
    assert np.array_equal(again.images, frames.images[:12]) and np.array_equal(again.pose, frames.pose[:12])
    assert not np.array_equal(other.pose, again.pose)
    pushed = draw_frames("push", Look(), 4, size=SIZE)
    assert pushed.keypoints.shape == (4, 5, 2) and pushed.pose.shape == (4, 4)


@pytest.mark.slow
def test_frames_do_not_depend_on_the_number_of_processes() -> None:
    one, two = (draw_frames("reach", Look(), 310, size=16, workers=workers) for workers in (0, 2))
    assert np.array_equal(one.images, two.images) and np.array_equal(one.keypoints, two.keypoints)


@pytest.mark.parametrize("aligned", [False, True])
def test_training_halves_the_error_and_is_repeatable(frames: Frames, aligned: bool) -> None:
    before = pose_errors(small().eval(), frames)
    more = {"alignment": CORAL(), "unlabeled": frames.images[:50]} if aligned else {}

    def trained(steps: int) -> KeypointEncoder:
        return train_pose_encoder(small(), frames, Optim(steps, 4e-3), batch_size=16, **more)  # type: ignore[arg-type]

    after = pose_errors(trained(60), frames)
    assert np.mean(after.keypoints) < 0.5 * np.mean(before.keypoints) and after.target < before.target
    one, two = trained(2), trained(2)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_look_shift_is_zero_without_a_change_and_one_for_another_state() -> None:
    starts = list(panel("reach", "validation", 40).starts)
    world = Reach(Look({"sensor.noise": 0.0}), size=SIZE)
    pictures = redraw(world, starts)
    world.close()
    net = small().eval()
    assert look_shift(net, pictures, pictures) == 0
    assert look_shift(net, pictures, np.roll(pictures, 1, axis=0)) == pytest.approx(1, abs=1e-6)


def test_the_checkpoint_makes_the_same_encoder(frames: Frames) -> None:
    net = small().eval()
    stored = pose_checkpoint(net, {"trained_on": "default look"})
    again = instantiate(stored.model["encoder"])
    again.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in stored.state.items()})
    assert torch.equal(encode(again.eval(), frames.images[:8]), encode(net, frames.images[:8]))


def test_what_does_not_fit_is_refused(frames: Frames) -> None:
    with pytest.raises(DataError, match="4 keypoints and 2 numbers of pose, the encoder 5"):
        train_pose_encoder(small(5), frames, Optim(1))
    with pytest.raises(DataError, match="go together"):
        train_pose_encoder(small(), frames, Optim(1), alignment=CORAL())
