"""The planar head against geometry worked out by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy import PlanarHead
from perceptransfer.robot.worlds.kinematics import jacobian, tip_of

JOINTS, TIP, PUCK, TARGET = 0, 2, 4, 6


def head(points: tuple[int, ...] = (TIP, PUCK, TARGET), **options: object) -> PlanarHead:
    torch.manual_seed(0)
    made = PlanarHead(8, points, JOINTS, hidden=(16,), **options).double()  # type: ignore[arg-type]
    made.fit_normalizers(states(40), torch.randn(40, 2, dtype=torch.float64))
    return made.eval()


def states(count: int, seed: int = 0) -> Tensor:
    """Joints, the tip that follows from them, puck, target."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform([-1.5, 0.6], [1.0, 2.4], (count, 2))
    rows = [np.concatenate([q, tip_of(q), rng.uniform(-0.3, 0.3, 4)]) for q in joints]
    return torch.tensor(np.array(rows))


def tip_velocity(made: PlanarHead, state: Tensor) -> np.ndarray:
    """What the predicted joint speeds do to the tip."""
    speeds = made(state).detach().numpy()
    return np.stack([jacobian(q.numpy()) @ v for q, v in zip(state[:, :2], speeds, strict=True)])


def turned(state: Tensor, angle: float, mirror: bool) -> Tensor:
    """The scene turned about the base; a mirrored one has another elbow, so only places are mirrored."""
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=state.dtype) @ torch.diag(
        torch.tensor([1.0, -1.0 if mirror else 1.0], dtype=state.dtype)
    )
    places = (state[:, 2:].reshape(len(state), 3, 2) @ matrix.T).reshape(len(state), 6)
    return torch.cat([state[:, :1] * (-1 if mirror else 1) + angle, state[:, 1:2] * (-1 if mirror else 1), places], 1)


@given(angle=st.floats(-3.1, 3.1), mirror=st.booleans(), seed=st.integers(0, 50))
def test_turning_or_mirroring_the_scene_turns_or_mirrors_the_motion(angle: float, mirror: bool, seed: int) -> None:
    made, state = head(), states(5, seed)
    other = turned(state, angle, mirror)
    # A turned arm has the same joint speeds; a mirrored one opposite speeds.
    assert torch.allclose(made(other), made(state) * (-1 if mirror else 1), atol=1e-8)


def test_with_two_places_the_tip_moves_along_the_way_or_across_it_by_its_length_alone() -> None:
    made = head((TIP, TARGET), bound=1e6)
    state = states(1).repeat(4, 1)
    way = torch.tensor([[0.1, 0.0], [0.0, 0.1], [-0.06, 0.08], [0.2, 0.0]], dtype=torch.float64)
    state[:, TARGET:] = state[:, TIP : TIP + 2] + way
    found = tip_velocity(made, state)
    unit = (way / way.norm(dim=1, keepdim=True)).numpy()
    along = (found * unit).sum(1)
    # The damped inverse shortens motions a little, more where the arm is nearly straight: 5 %.
    assert along[1:3] == pytest.approx([along[0]] * 2, rel=0.1)
    assert abs(along[3] - along[0]) > 1e-4


def test_joint_speeds_are_the_damped_inverse_and_bounded() -> None:
    made, state = head(), states(20)
    velocity = torch.tensor(np.random.default_rng(1).normal(0, 0.4, (20, 2)))
    found = made._joint_speeds(state, velocity).numpy()
    for q, v, speeds in zip(state[:, :2].numpy(), velocity.numpy(), found, strict=True):
        matrix = jacobian(q)
        free = matrix.T @ np.linalg.inv(matrix @ matrix.T + 0.03**2 * np.eye(2)) @ v
        assert np.allclose(speeds, free / max(1.0, np.abs(free).max() / 2.0), atol=1e-9)


def test_a_chain_of_three_links() -> None:
    made = PlanarHead(9, (5, 7), 0, links=(0.3, 0.2, 0.1)).double().eval()
    assert made(torch.rand(4, 9, dtype=torch.float64)).shape == (4, 3)


def test_places_that_coincide_stay_finite() -> None:
    assert torch.isfinite(head()(torch.zeros(1, 8, dtype=torch.float64))).all()


@pytest.mark.parametrize(
    ("points", "joints", "links"),
    [((0,), 0, (0.2, 0.2)), ((0, 7), 0, (0.2, 0.2)), ((0, 2), 7, (0.2, 0.2)), ((0, 2), 0, (0.2, -0.1))],
)
def test_columns_that_are_not_there_are_refused(points: tuple[int, ...], joints: int, links: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"columns|positive"):
        PlanarHead(8, points, joints, links)
