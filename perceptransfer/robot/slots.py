"""Several worlds side by side, in this process or in workers: slots that begin and step together."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from perceptransfer.core.errors import PerceptransferError
from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.collect import true_state
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.look import Look
from perceptransfer.robot.worlds import WORLDS, ArmWorld, Start


class Tick(NamedTuple):
    """What a slot says after a reset or step: what the policy may see, and what the evaluation needs."""

    observation: Mapping[str, Any]
    labels: Mapping[str, Floats]
    distance: float
    success: bool
    ended: bool


@dataclass(frozen=True)
class Episode:
    """Everything that decides how a slot's episode begins."""

    start: Start
    look: Look
    dynamics: Dynamics


class Slots:
    """``count`` worlds of one kind.

    With ``workers`` above 0 they live in that many processes and render there; results do not depend on it. Use it in
    a ``with`` block, which ends the processes.
    """

    def __init__(self, world: str, count: int, *, size: int = 96, workers: int = 0) -> None:
        self.count = count
        parts = [part.tolist() for part in np.array_split(np.arange(count), min(max(workers, 1), count))]
        kind = _Remote if workers else _Local
        self._groups = [(part, kind(world, len(part), size)) for part in parts]

    def reset(self, episodes: Sequence[Episode]) -> list[Tick]:
        """Begin ``len(episodes)`` episodes, ``count`` at most, in the first slots."""
        return self._all("reset", dict(enumerate(episodes)))

    def step(self, actions: Mapping[int, Floats]) -> dict[int, Tick]:
        """Step the named slots."""
        ticks = self._all("step", actions)
        return dict(zip(sorted(actions), ticks, strict=True))

    def close(self) -> None:
        """Close the worlds and end their processes."""
        for _, group in self._groups:
            group.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _all(self, call: str, items: Mapping[int, Any]) -> list[Tick]:
        busy = []
        for part, group in self._groups:
            own = {j: items[slot] for j, slot in enumerate(part) if slot in items}
            if own:
                group.send(call, own)
                busy.append((part, group))
        found: dict[int, Tick] = {}
        for part, group in busy:
            found |= {part[j]: tick for j, tick in group.receive().items()}
        return [found[slot] for slot in sorted(found)]


class _Local:
    """Worlds in this process."""

    def __init__(self, world: str, count: int, size: int) -> None:
        self._worlds = [WORLDS[world](size=size) for _ in range(count)]
        self._answer: dict[int, Tick] = {}

    def send(self, call: str, items: Mapping[int, Any]) -> None:
        self._answer = {j: _tick(self._worlds[j], call, item) for j, item in items.items()}

    def receive(self) -> dict[int, Tick]:
        return self._answer

    def close(self) -> None:
        for world in self._worlds:
            world.close()


class _Remote:
    """Worlds in a process of their own; spawned, because a forked one would share this one's OpenGL and threads."""

    def __init__(self, world: str, count: int, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, world, count, size), daemon=True)
        self._process.start()
        other.close()

    def send(self, call: str, items: Mapping[int, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the worker died; `receive` says so
            self._pipe.send((call, items))

    def receive(self) -> dict[int, Tick]:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise PerceptransferError(
                f"a worker process died (exit code {self._process.exitcode})", remedy="try again with workers=0"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        found: dict[int, Tick] = answer
        return found

    def close(self) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()


def _serve(pipe: Connection, world: str, count: int, size: int) -> None:
    """A worker's life: answer calls until the other end closes."""
    local = _Local(world, count, size)
    try:
        while True:
            call, items = pipe.recv()
            try:
                local.send(call, items)
                pipe.send(local.receive())
            except Exception as error:  # raised again where the call came from
                pipe.send(error)
    except EOFError:
        local.close()


def _tick(world: ArmWorld, call: str, item: Any) -> Tick:
    if call == "reset":
        options = {"start": item.start, "look": item.look, "dynamics": item.dynamics}
        observation, info = world.reset(options=options)
        ended = False
    else:
        observation, _, success, cut, info = world.step(item)
        ended = success or cut
    observation["state"] = true_state(observation, info)
    return Tick(observation, info["labels"], info["distance"], info["success"], ended)
