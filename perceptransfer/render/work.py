"""What one rendering process does: scenes come in, samples go to disk."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from perceptransfer.core.config import instantiate
from perceptransfer.core.errors import PerceptransferError, RenderError
from perceptransfer.render.engines import make_engine
from perceptransfer.render.executor import Executor, Rendered
from perceptransfer.render.plan import ScenePlan, View
from perceptransfer.render.scene import Scene
from perceptransfer.render.writer import write_sample

ATTEMPTS = 100  # scenes tried until a sample's target is visible enough


@dataclass(frozen=True)
class Job:
    """What every worker of a run needs to know."""

    scene: Any  # config_of(scene), which instantiate turns back
    seed: int
    folder: Path
    engine: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """Samples of one scene that are still missing."""

    index: int
    samples: tuple[int, ...]


def render_scene(scene: Scene, job: Job, executor: Executor, task: Task, done: Any) -> None:
    """Draw and write the samples of a task; ``done(sample)`` after each.

    Raises:
        RenderError: no attempt shows enough of a target.
    """
    for plan, view, seen in draw(scene, job.seed, executor, task):
        write_sample(job.folder, scene, plan, view, seen)
        done(view.sample)


def draw(scene: Scene, seed: int, executor: Executor, task: Task) -> Iterator[tuple[ScenePlan, View, Rendered]]:
    """The samples of a task, in the order in which they are finished.

    A sample whose target is hidden too much is drawn in the next attempt's scene, the others are left as they are.

    Raises:
        RenderError: no attempt shows enough of a target.
    """
    missing = set(task.samples)
    for attempt in range(ATTEMPTS):
        plan = scene.sample(seed, task.index, attempt).only(*missing)
        for view, seen in zip(plan.views, executor.render(plan), strict=True):
            if view.target is not None and seen.visible.get(view.target, 0.0) < view.min_visible:
                continue
            missing.discard(view.sample)
            yield plan, view, seen
        if not missing:
            return
    raise RenderError(
        f"sample {min(missing)} of seed {seed} shows too little of its object in {ATTEMPTS} scenes",
        key="min_visible_share",
        remedy="lower min_visible_share, spread the objects, or take fewer distractors",
    )


def worker(pipe: Connection, job: Job) -> None:
    """Process: tasks come through the pipe until None does or its other end is gone.

    Sends ("done", sample), ("idle", None) after a task, ("error", exception) for an error that ends the run, and
    ("failed", text) for one that may be this process's own; it then ends.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(0)
    executor = None
    try:
        scene: Scene = instantiate(job.scene)
        executor = make_engine(job.engine, job.options)
        pipe.send(("idle", None))
        while (task := pipe.recv()) is not None:
            render_scene(scene, job, executor, task, lambda sample: pipe.send(("done", sample)))
            pipe.send(("idle", None))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass  # the parent is gone or ends the run
    except PerceptransferError as error:
        pipe.send(("error", pickle.dumps(error)))
    except MemoryError:
        pipe.send(("failed", "out of memory"))
    except Exception:
        pipe.send(("failed", traceback.format_exc(limit=8)))
    finally:
        if executor is not None:
            executor.close()
