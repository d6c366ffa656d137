"""What a renderer has to give, and nothing of how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perceptransfer.render.plan import Camera, ScenePlan


@dataclass(frozen=True)
class Rendered:
    """One view as the renderer saw it, before the sensor.

    Attributes:
        sample: the view's number.
        radiance: [H, W, 3] float32, linear; the background is in it.
        instances: [H, W] uint16, the body seen at the pixel's centre, 0 for none.
        depth: [H, W] float32, metres along the optical axis at the pixel's centre, 0 for none.
        normals: [H, W, 3] float32, unit vectors in the camera's frame, 0 for none.
        visible: instance → share of its outline within the picture that no other body hides, 0..1; absent means 0.
        camera: the camera used where the view asked to be fitted.
        keypoints: instance → [K, 3] in the object's frame, where only the renderer knows them.
    """

    sample: int
    radiance: NDArray[np.float32]
    instances: NDArray[np.uint16]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    visible: Mapping[int, float]
    camera: Camera | None = None
    keypoints: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)


class Executor(Protocol):
    """Draws scenes, one after another; made once in each worker process.

    The picture of a view depends on the plan and the view alone: not on earlier scenes, not on the other views. An
    error of `core.errors` ends the whole run with its message. Anything else, and the death of the process, costs
    the scene at hand one of its attempts. Sensor, keypoint visibility, labels and files are not the executor's.
    """

    def render(self, plan: ScenePlan) -> Iterator[Rendered]:
        """All views of the plan, in its order."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
