"""Rendering in worker processes: resumable, and a worker's death costs only the sample at hand."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from perceptransfer.core.config import config_of
from perceptransfer.core.errors import ConfigError, RenderError
from perceptransfer.render.scene import Scene
from perceptransfer.render.work import Job, Task, worker
from perceptransfer.render.writer import begin, finish, is_complete

CRASHES = 3  # of processes without a sample finished between them, before the run gives up
Progress = Callable[[int, int, float], None]
"""Called with samples done, samples wanted, and seconds since the start."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    finished: set[int] = field(default_factory=set)
    scenes: int = 0
    since: float = 0.0
    why: str = ""


def render(
    scene: Scene,
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    workers: int = 1,
    only: int | None = None,
    engine: str = "raycast",
    options: Mapping[str, Any] | None = None,
    recycle: int = 1000,
    patience_s: float = 900.0,
    progress: Progress | None = None,
) -> int:
    """Render samples 0 to ``count - 1`` of a scene, or ``only`` one, those that are there already left as they are.

    Args:
        scene: the specification.
        folder: the set; an interrupted one is continued.
        count: number of samples.
        seed: seed of the set.
        workers: processes; what they write does not depend on their number.
        only: the one sample to be rendered.
        engine: name of a renderer in `engines.ENGINES`, or import path.
        options: arguments of the renderer.
        recycle: scenes after which a process is replaced; renderers leak.
        patience_s: a sample that takes longer is taken for hung, and its process is killed.
        progress: called after every sample.

    Returns:
        Number of samples in the set.

    Raises:
        ConfigError: no samples, workers or scenes for a process; the folder holds another set; no such engine.
        RenderError: the same sample ended three processes; it is named with the seed.
        OutputError: the folder cannot be written or the disk is full; nothing is half-written.
    """
    if count < 1 or workers < 1 or not (only is None or only >= 0):
        raise ConfigError("needs at least one sample and one worker", key="count", remedy="give --count 1 or more")
    if recycle < 1:
        raise ConfigError(f"{recycle} scenes for a process", key="recycle", remedy="give --recycle 1 or more")
    begin(folder, scene, seed, engine, options)
    wanted = range(count) if only is None else [only]
    missing = [sample for sample in wanted if not is_complete(folder, sample)]
    scenes: dict[int, list[int]] = {}
    for sample in missing:
        scenes.setdefault(sample // scene.views_per_scene, []).append(sample)
    tasks = deque(Task(index, tuple(samples)) for index, samples in scenes.items())
    if tasks:
        job = Job(config_of(scene), seed, folder, engine, dict(options or {}))
        done, start = len(wanted) - len(missing), time.monotonic()
        for _ in _drain(job, tasks, min(workers, len(tasks)), recycle, patience_s):
            done += 1
            if progress is not None:
                progress(done, len(wanted), time.monotonic() - start)
    return finish(folder)


def _drain(job: Job, tasks: deque[Task], workers: int, recycle: int, patience: float) -> Iterator[int]:
    """Numbers of samples as they are finished, until all tasks are."""
    crashes: dict[tuple[int, ...], int] = {}
    with _team() as team:
        while tasks or any(it.task for it in team):
            while len(team) < workers and len(team) < len(tasks) + sum(it.task is not None for it in team):
                team.append(_start(job))
            for pipe in wait([it.pipe for it in team], timeout=1.0):
                one = next(it for it in team if it.pipe is pipe)
                try:
                    kind, value = one.pipe.recv()
                except (EOFError, OSError):
                    _bury(job, team, one, tasks, crashes)
                    continue
                if kind == "done":
                    crashes.pop((), None)
                    one.finished.add(value)
                    one.since = time.monotonic()
                    yield value
                elif kind == "error":
                    raise pickle.loads(value)
                elif kind == "failed":
                    one.why = value
                elif not _assign(team, one, tasks, recycle):
                    _bury(job, team, one, tasks, crashes)
            for one in team:
                if one.task and time.monotonic() - one.since > patience:
                    one.why = f"no answer for {patience:g} s"
                    one.process.kill()


def _assign(team: list[_Worker], one: _Worker, tasks: deque[Task], recycle: int) -> bool:
    """Give an idle worker its next task, or let it go; False if it has died since it said that it is idle."""
    one.task = None
    if not tasks or one.scenes >= recycle:
        with contextlib.suppress(OSError):  # it is gone already
            one.pipe.send(None)
        team.remove(one)
        one.process.join()
        return True
    try:
        one.pipe.send(tasks[0])
    except OSError:
        return False
    one.task, one.since, one.scenes = tasks.popleft(), time.monotonic(), one.scenes + 1
    one.finished.clear()
    return True


def _bury(job: Job, team: list[_Worker], one: _Worker, tasks: deque[Task], crashes: dict[tuple[int, ...], int]) -> None:
    """Take a dead worker out; what it left undone is done again."""
    team.remove(one)
    one.process.join()
    task = one.task
    left = () if task is None else tuple(it for it in task.samples if it not in one.finished)
    crashes[left] = crashes.get(left, 0) + 1
    if crashes[left] >= CRASHES:
        why = one.why or f"ended with exit code {one.process.exitcode}"
        place = f"at sample {left[0]}, seed {job.seed}" if left else "before its first or after its last sample"
        raise RenderError(
            f"a rendering process failed {CRASHES} times {place}: {why}",
            key="engine",
            remedy="take fewer workers if memory is short, or render that sample alone with --only to see why",
        )
    if task is not None and left:
        tasks.appendleft(Task(task.index, left))


def _start(job: Job) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a forked copy of the caller's threads may hang
    mine, theirs = context.Pipe()
    process = context.Process(target=worker, args=(theirs, job), daemon=True)
    process.start()
    theirs.close()  # so that the worker's death closes the pipe
    return _Worker(process, mine, since=time.monotonic())


@contextlib.contextmanager
def _team() -> Iterator[list[_Worker]]:
    """Workers that are gone when the block is left, however it is left."""
    team: list[_Worker] = []
    try:
        yield team
    finally:
        for one in team:
            one.process.kill()
            one.process.join()
            one.pipe.close()
