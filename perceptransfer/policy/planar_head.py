"""A head for arms that move in a plane: it acts in the workspace, whichever way that is turned."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy.heads import Normalizer, PolicyHead, fully_connected

DAMPING = 0.03
"""Of the inverse Jacobian, in m: keeps joint speeds bounded where the arm is nearly straight."""


class PlanarHead(PolicyHead):
    """Joint speeds ``[B, A]`` (rad/s) of a planar arm, equivariant to rotations and reflections of its plane.

    ``points`` are the first columns (x, then y, in m) of a chain of places, such as tip, puck and target; ``joints`` is
    the first column of the ``len(links)`` joint angles (rad). The ways from each place to the next are written in the
    frame whose axis is the last way, mirrored so that the first lies on one side; a network maps their lengths and
    directions to a velocity of the tip in that frame, and damped least squares turn it into joint speeds, scaled down
    together to ``bound``. Fifty demonstrations then teach every direction at once, and places the demonstrations did
    not visit; what depends on the place itself, such as a wall, it cannot learn.

    Papers: Puny et al., Frame Averaging for Invariant and Equivariant Network Design, ICLR 2022 (a frame from the
    input); Nakamura & Hanafusa, 1986 (damped least squares).

    Raises:
        ConfigError: fewer than two points, columns outside of ``dim``, or lengths that are not positive.
    """

    def __init__(
        self,
        dim: int,
        points: Sequence[int],
        joints: int,
        links: Sequence[float] = (0.2, 0.2),
        bound: float = 2.0,
        hidden: Sequence[int] = (128, 128),
    ) -> None:
        super().__init__(dim, len(links))
        if len(points) < 2 or min(*points, joints) < 0 or max(*points, joints + len(links) - 2) + 2 > dim:
            raise ConfigError(
                f"points {list(points)} and joints {joints} do not lie in {dim} columns", key="points",
                remedy="give the first column of each place, tip first, target last",
            )  # fmt: skip
        if min(links, default=0.0) <= 0 or bound <= 0:
            raise ConfigError("links and bound must be positive", key="links", remedy="give m and rad/s")
        self.points, self.joints, self.links, self.bound = list(points), joints, list(links), bound
        invariants = 4 * (len(points) - 2) + 1
        self.inputs = Normalizer(invariants)
        self.layers = fully_connected(invariants, hidden, 2)

    def fit_normalizers(self, features: Tensor, actions: Tensor) -> None:
        self.inputs.fit(self._in_frame(features)[0])
        self.actions.fit(actions)

    def predict(self, features: Tensor) -> Tensor:
        invariants, axis, side = self._in_frame(features)
        ahead, across = (self.layers(self.inputs(invariants)) * sum(self.links)).split(1, dim=1)
        normalised: Tensor = self.actions(self._joint_speeds(features, ahead * axis + across * side))
        return normalised

    def _in_frame(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What no rotation or reflection changes ``[B, I]``, and the frame's two axes ``[B, 2]``."""
        places = [features[:, first : first + 2] for first in self.points]
        *ways, last = [after - before for before, after in itertools.pairwise(places)]
        length = last.norm(dim=1, keepdim=True)
        axis = last / length.clamp_min(1e-6)
        side = torch.stack([-axis[:, 1], axis[:, 0]], 1)
        found = [length]
        for i, way in enumerate(ways):
            along, across = ((way * direction).sum(1, keepdim=True) for direction in (axis, side))
            if i == 0:
                side = torch.where(across < 0, -side, side)
                across = across.abs()
            found += [along, across, way.norm(dim=1, keepdim=True), torch.atan2(across, along)]
        return torch.cat(found, 1), axis, side

    def _joint_speeds(self, features: Tensor, velocity: Tensor) -> Tensor:
        """Joint speeds that move the tip with ``velocity`` ``[B, 2]`` in m/s."""
        joints = features[:, self.joints : self.joints + len(self.links)]
        absolute = joints.cumsum(1)
        lengths, unit = joints.new_tensor(self.links), torch.eye(2, dtype=joints.dtype, device=joints.device)
        # Tip velocity of a joint: across to all links from that joint on.
        links = torch.stack([-absolute.sin(), absolute.cos()], 1) * lengths
        jacobian = links.flip(2).cumsum(2).flip(2)
        square = jacobian @ jacobian.transpose(1, 2) + DAMPING**2 * unit
        speeds: Tensor = (jacobian.transpose(1, 2) @ torch.linalg.solve(square, velocity[..., None]))[..., 0]
        return speeds / (speeds.abs().amax(1, keepdim=True) / self.bound).clamp_min(1.0)
