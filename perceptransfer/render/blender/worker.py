"""Draws scene plans with Blender, one after another, until its input ends.

Runs in an environment of its own (`requirements.txt`) or inside a Blender, and imports nothing of the package. One JSON
line in, one JSON line out; pictures go to files. A line on the output is one of

    {"ready": 1, "bpy": "4.5.15"}                        once, at the start
    {"beat": 7}                                          every second, also while drawing
    {"id": 3, ...}                                       the answer to the request with that id
    {"id": 3, "error": "...", "kind": "input"}           the request cannot be fulfilled; kind: input | memory | system,
                                                         the last with "errno" and "file" of the system's refusal
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import threading
import time
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

PROTOCOL = 1


class Line:
    """The way back to the parent: Blender's own messages, which go to the standard output, must not get into it."""

    def __init__(self) -> None:
        self.file = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.lock = threading.Lock()

    def send(self, **message: Any) -> None:
        with self.lock:
            self.file.write(json.dumps(message) + "\n")
            self.file.flush()

    def beat(self, parent: int, folder: str) -> None:
        """Say once a second that the process lives; end it when nobody listens any more."""
        for number in range(1, sys.maxsize):
            time.sleep(1)
            try:
                if os.getppid() != parent:
                    raise BrokenPipeError
                self.send(beat=number)
            except OSError:
                leave(folder)


def leave(folder: str) -> NoReturn:
    """End at once and leave nothing behind; some builds of bpy crash while Python takes them apart."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


class Worker:
    """Answers requests about plans."""

    def __init__(self, samples: int, bounces: int, folder: str) -> None:
        from shim import import_blenderproc

        bproc = import_blenderproc()
        from camera import Studio
        from stage import Stage

        self.folder = Path(folder)
        self.stage, self.studio = Stage(bproc), Studio(bproc, samples, bounces)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Build the plan; then either the joints of its rigged hands or one of its views."""
        if "plan" in request:
            self.stage.build(request["plan"], request["tiles"])
            self.plan = request["plan"]
            return {"keypoints": self._keypoints()}
        return self._shoot(request["view"])

    def _keypoints(self) -> dict[str, Any]:
        return {
            body["instance"]: slots[0].hand.keypoints(body["shape"]["mirrored"]).tolist()
            for body, slots in zip(self.plan["bodies"], self.stage.slots, strict=True)
            if slots[0].hand is not None
        }

    def _shoot(self, view: dict[str, Any]) -> dict[str, Any]:
        from camera import outline_pixels
        from materials import forget_pictures

        self.studio.aim(view["camera"])
        start, started = time.perf_counter(), time.process_time()
        self.studio.colours(self.folder / "colours.exr", view["seed"])
        drawn, drawn_cpu = time.perf_counter() - start, time.process_time() - started
        forget_pictures()
        self.studio.labels(self.folder / "labels.exr")
        outlines = {
            body["instance"]: outline_pixels(slots, view["camera"])
            for body, slots in zip(self.plan["bodies"], self.stage.slots, strict=True)
            if body["category"] is not None
        }
        return {"outlines": outlines, "draw_s": drawn, "draw_cpu_s": drawn_cpu}


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Let what starts meanwhile see one core (Linux).

    Blender's pool of threads (TBB) takes as many as it sees cores. Pictures are drawn by one of them; the others wait
    for work in a loop that takes their cores' time, as much again as the drawing itself on two cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {random.choice(sorted(cores))})
    try:
        yield
    finally:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(int(thread), cores)


def prepare(packages: str | None) -> None:
    """Make this folder and, inside a Blender, the packages that it lacks importable."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if packages is None:
        return
    sys.path.append(packages)
    try:
        import h5py  # noqa: F401
    except Exception:  # a Blender with an HDF5 of its own; blenderproc imports it, nothing here writes such files
        sys.modules["h5py"] = types.ModuleType("h5py")


def refusal(error: Exception) -> dict[str, Any]:
    """What the parent is told of an error; the system's (a full disk, a lost file) are not the plan's fault."""
    told: dict[str, Any] = {"error": f"{type(error).__name__}: {error}", "kind": "input"}
    if isinstance(error, OSError) and error.errno is not None:  # without a number it is Blender's word on a file
        told |= {
            "kind": "system",
            "errno": error.errno,
            "file": None if error.filename is None else str(error.filename),
        }
    return told


def main() -> None:
    """Answer line by line."""
    line = Line()
    settings = json.loads(sys.argv[-1])
    prepare(settings.pop("packages"))
    try:
        with one_core():
            worker = Worker(**settings)
        import bpy
    except Exception:
        line.send(id=0, error=traceback.format_exc(), kind="start")
        os._exit(1)
    line.send(ready=PROTOCOL, bpy=bpy.app.version_string)
    threading.Thread(target=line.beat, args=(os.getppid(), settings["folder"]), daemon=True).start()
    for text in sys.stdin:
        request = json.loads(text)
        try:
            line.send(id=request["id"], **worker.answer(request))
        except MemoryError:
            line.send(id=request["id"], error="out of memory", kind="memory")
            break
        except (LookupError, RuntimeError, OSError) as error:
            line.send(id=request["id"], **refusal(error))
    leave(settings["folder"])


if __name__ == "__main__":
    main()
