"""Pictures of a robot's camera beside drawings of the same joint angles, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.look import Look
from perceptransfer.robot.worlds import ArmWorld, Start

MISFIT = 0.08  # of full scale: what texture, shadow and objects leave between pictures of the right look
MOVING = 0.04  # the same of what moves
_FAR = Start((0.0, 1.0), (9.0, 9.0), None, 0)  # where a target is, no picture without labels says: out of sight


class PictureMatch:
    """Pictures ``uint8 [k, S, S, 3]`` of each episode at joint angles ``[k, 2]`` (rad), and the world that draws them.

    Raises:
        DataError: fewer than two episodes, or pictures and joints that do not fit the world or each other.
    """

    def __init__(self, world: ArmWorld, pictures: Sequence[Pixels], joints: Sequence[Floats]) -> None:
        _check(world, pictures, joints)
        self.world, self.joints, self.episodes = world, np.concatenate(joints), len(pictures)
        self.seen = np.concatenate(pictures)
        self._views: dict[float, NDArray[np.float32]] = {}

    def off(self, look: Look, blur: float) -> Floats:
        """Differences in units of what may be left of them, episode by episode.

        Each picture counts twice: as it is, and less the mean of its episode, which leaves of the scene the arm alone
        and its shadow.
        """
        off = _blurred(self.draw(look), blur) - self._view(blur)
        return np.concatenate([off / MISFIT, self._moving(off) / MOVING], axis=1).ravel().astype(np.float64)

    def shape(self, look: Look, blur: float) -> float:
        """Robust sum of what `off` says of the arm and its shadow, with the drawings as bright as the pictures."""
        drawn, seen = _blurred(self.draw(look), blur), self._view(blur)
        off = self._moving(drawn * (seen.mean() / drawn.mean()) - seen) / MOVING
        return float(np.sqrt(1 + off**2).sum())

    def _view(self, blur: float) -> NDArray[np.float32]:
        if blur not in self._views:
            self._views[blur] = _blurred(self.seen, blur)
        return self._views[blur]

    def _moving(self, off: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = off.reshape(self.episodes, -1, *off.shape[1:])
        return np.asarray((parts - parts.mean(axis=1, keepdims=True)).reshape(off.shape), dtype=np.float32)

    def misfit(self, look: Look) -> float:
        """Root mean square difference of the pictures, slightly blurred, full scale 1."""
        return float(np.sqrt(np.mean((_blurred(self.draw(look), 2.0) - _blurred(self.seen, 2.0)) ** 2)))

    def draw(self, look: Look) -> Pixels:
        """The arm at the pictures' angles and nothing else on the table."""
        self.world.reset(options={"start": _FAR, "look": look})
        return np.stack([self.world.place(angles)[0]["image"] for angles in self.joints])


def _blurred(pictures: Pixels, blur: float) -> NDArray[np.float32]:
    """Pictures of full scale 1, blurred and thinned out so that neighbours are nearly independent."""
    every = max(1, round(1.5 * blur))
    light = pictures.astype(np.float32) / 255
    soft = [cv2.GaussianBlur(one, (0, 0), blur, borderType=cv2.BORDER_REFLECT)[::every, ::every] for one in light]
    return np.array(soft)


def grain(pictures: Pixels) -> NDArray[np.float32]:
    """Standard deviation of each channel's noise, full scale 1, ``[n, 3]``: the median does not see edges."""
    light = pictures.astype(np.float32) / 255
    bend = light[:, :, 2:] - 2 * light[:, :, 1:-1] + light[:, :, :-2]
    return np.asarray(np.median(np.abs(bend), axis=(1, 2)) / (0.6745 * np.sqrt(6)), dtype=np.float32)


def _check(world: ArmWorld, pictures: Sequence[Pixels], joints: Sequence[Floats]) -> None:
    shapes = {picture.shape for picture in pictures}
    if len(pictures) < 2 or len(shapes) != 1:
        raise DataError(
            f"{len(pictures)} episodes with pictures of shapes {sorted(shapes)}",
            key="pictures", remedy="give two episodes or more, each with the same number of pictures",
        )  # fmt: skip
    (shape,) = shapes
    if shape[1:] != (world.size, world.size, 3) or any(part.shape != (shape[0], 2) for part in joints):
        raise DataError(
            f"pictures {shape} and joints {[part.shape for part in joints]}",
            key="joints", remedy=f"pictures [k, {world.size}, {world.size}, 3], joints [k, 2] in each episode",
        )  # fmt: skip
    if len(joints) != len(pictures) or not all(np.isfinite(part).all() for part in joints):
        raise DataError("joint angles are missing, NaN or infinite", key="joints", remedy="drop those episodes")
