"""Where the places stand in what a head sees: from a world to its `PlanarHead`."""

from __future__ import annotations

from perceptransfer.core.errors import ConfigError
from perceptransfer.policy import PlanarHead
from perceptransfer.robot.worlds import WORLDS
from perceptransfer.robot.worlds.model import LINK, SPEED

PROPRIO = 6  # two joint angles, two joint speeds, the tip's place


def planar_head(world: str, features: int | None) -> PlanarHead:
    """A head for ``image`` and ``proprio``, or with ``features=None`` for ``state``.

    ``features`` counts the encoder's columns that come first; the last of them are the pose, x and y of the target
    and, in a world that has one, of the puck.

    Raises:
        ConfigError: too few features for that pose.
    """
    pose = 4 if WORLDS[world].has_puck else 2
    if features is None:
        proprio, first, dim = 0, PROPRIO, PROPRIO + pose + (4 if pose == 4 else 0)  # `true_state` appends the two ways
    else:
        proprio, first, dim = features, features - pose, features + PROPRIO
    if first < 0:
        raise ConfigError(
            f"{features} features cannot hold {pose} numbers of pose", key="features",
            remedy=f"give the columns of a keypoint encoder whose last {pose} are target and puck",
        )  # fmt: skip
    points = [proprio + 4, *([first + 2] if pose == 4 else []), first]
    return PlanarHead(dim, points, proprio, (LINK, LINK), SPEED)
