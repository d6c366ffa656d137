"""Small scenes and ill-behaved renderers for the tests of the render room."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from perceptransfer.core.config import Configurable
from perceptransfer.render.executor import Rendered
from perceptransfer.render.optics import Crops, SensorRanges, Viewpoint
from perceptransfer.render.plan import ScenePlan
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.rotations import AnyRotation, Mixed, Upright
from perceptransfer.render.table import Table
from perceptransfer.render.things import Ball, Block, Can, Pill


def small_table(size: int = 24, **options: object) -> Table:
    """All primitives, two distractors, a real sensor."""
    given: dict[str, object] = {
        "objects": {"ball": Ball(), "block": Block(), "can": Can(), "pill": Pill()},
        "viewpoint": Viewpoint([160, 120], [150.0, 150.0], roll_deg=(-10, 10)),
        "crops": Crops([size, size], min_visible_share=0.3),
        "rotation": Mixed(Upright(tilt_deg=(0.0, 8.0)), AnyRotation(), 0.7),
        "closeness": (0.0, 0.3),
        "distractors": {"pebble": Ball((0.01, 0.02))},
        "distractor_count": (0, 2),
        "sensor": SensorRanges(blur_px=(0, 1), read_noise_std=0.01, jpeg_quality=(60, 95)),
    }
    return Table(**{**given, **options})  # type: ignore[arg-type]


class Slow(Configurable):
    """The ray-caster, waiting before each view."""

    NOT_IDENTITY = frozenset({"seconds"})

    def __init__(self, seconds: float) -> None:
        self.seconds, self.inner = seconds, Raycaster(smooth=False, shadow_rays=0)

    def render(self, plan: ScenePlan) -> Iterator[Rendered]:
        for seen in self.inner.render(plan):
            time.sleep(self.seconds)
            yield seen

    def close(self) -> None:
        self.inner.close()


class Failing(Configurable):
    """Fails at a sample: once if ``flag`` names a file to remember it in, else always."""

    def __init__(self, sample: int, how: str, flag: str | None = None) -> None:
        self.sample, self.how, self.flag = sample, how, flag
        self.inner = Raycaster(smooth=False, shadow_rays=0)

    def render(self, plan: ScenePlan) -> Iterator[Rendered]:
        for seen in self.inner.render(plan):
            if seen.sample == self.sample and not (self.flag and Path(self.flag).exists()):
                if self.flag:
                    Path(self.flag).touch()
                self._fail()
            yield seen

    def _fail(self) -> None:
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "memory":
            raise MemoryError
        if self.how == "hang":
            time.sleep(600)
        raise ValueError("the renderer broke")

    def close(self) -> None:
        self.inner.close()
