"""A worker process and the lines that go to and fro."""

from __future__ import annotations

import errno
import json
import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

from perceptransfer.core.errors import DataError, OutputError, RenderError
from perceptransfer.render.blender_env import Launch, remedy

PROTOCOL = 1
START_S = 300.0  # a cold disk takes its time over 1.5 GB


class WorkerLostError(Exception):
    """The worker died, fell silent or ran out of memory: its scene has to be drawn again, by a new one."""


class BlenderProcess:
    """One worker. ``silence_s`` is how long it may give no sign of life, ``limit_s`` how long one answer may take."""

    def __init__(self, command: list[str], log: Path, silence_s: float = 60.0, limit_s: float = 600.0) -> None:
        self.log, self.silence_s, self.limit_s = log, silence_s, limit_s
        # Python's own variables are meant for this interpreter, not for the worker's.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        assert self.process.stdout is not None
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.rest, self.number = b"", 0
        try:
            self._greet()
        except BaseException:
            self.kill()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            DataError: the worker cannot do it, however often it is asked.
            OutputError: the place of its files is full.
            WorkerLostError: there was no answer, or the system refused the worker something; the process is gone now.
        """
        self.number += 1
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"id": self.number, **request}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._lost("took no more requests") from error
        answer = self._next(self.silence_s, self.limit_s)
        if answer.get("id") != self.number:
            raise self._lost(f"answered {str(answer)[:200]} to request {self.number}")
        if answer.get("kind") == "memory":
            raise self._lost("ran out of memory")
        if answer.get("kind") == "system":
            self._refused(answer)
        if "error" in answer:
            raise DataError(f"Blender cannot draw this plan: {answer['error']}", remedy="correct the scene file")
        return answer

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except OSError:  # a request that was never read
                    continue
        self.selector.close()

    def _refused(self, answer: dict[str, Any]) -> NoReturn:
        if answer.get("errno") == errno.ENOSPC:
            raise OutputError(
                f"the Blender worker cannot write: {answer['error']}",
                where=answer.get("file"),
                remedy="free space there (/dev/shm is memory), or take fewer workers",
            )
        raise self._lost(f"was refused by the system: {answer['error']}")

    def _greet(self) -> None:
        hello = self._next(START_S, START_S, skip=True)  # a Blender tells its version before it runs anything
        if hello.get("kind") == "start":
            last = hello["error"].strip().splitlines()[-1]
            raise RenderError(f"Blender does not start: {last}", remedy=_start_remedy(last))
        if hello.get("ready") != PROTOCOL:
            raise RenderError(
                f"the worker speaks protocol {hello.get('ready')!r} instead of {PROTOCOL}", remedy="install one version"
            )

    def _next(self, silence_s: float, limit_s: float, skip: bool = False) -> dict[str, Any]:
        """The next line that is no beat; ``skip`` passes over lines that are no messages at all."""
        end = time.monotonic() + limit_s
        while True:
            while b"\n" not in self.rest:
                left = end - time.monotonic()
                if left <= 0:
                    raise self._lost(f"gave no answer in {limit_s:g} s")
                if not self.selector.select(min(silence_s, left)):
                    if left <= silence_s:
                        continue  # its time is up
                    raise self._lost(f"gave no sign of life for {silence_s:g} s")
                assert self.process.stdout is not None
                piece = os.read(self.process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise self._lost("ended")
                self.rest += piece
            line, self.rest = self.rest.split(b"\n", 1)
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict):
                if "beat" not in message:
                    return message
            elif not skip:
                raise self._lost(f"wrote {line[:200]!r}")

    def _lost(self, what: str) -> WorkerLostError:
        self.kill()
        code = self.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        tail = " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])[-500:]
        return WorkerLostError(f"the Blender worker {what} ({how}): {tail}")


def start(launch: Launch, settings: dict[str, Any], log: Path, limit_s: float) -> BlenderProcess:
    """A worker with these settings.

    Raises:
        RenderError: Blender does not start.
        WorkerLostError: it died at once.
    """
    told = json.dumps({**settings, "packages": launch.packages})
    return BlenderProcess([*launch.command, told], log, limit_s=limit_s)


def _start_remedy(error: str) -> str:
    if ".so" not in error:
        return remedy()
    return (
        "install the libraries that Blender needs, on Debian: libx11-6 libxrender1 libxxf86vm1 libxfixes3 libxi6 "
        f"libxkbcommon0 libsm6 libice6 libgl1 libgomp1. Otherwise: {remedy()}"
    )
