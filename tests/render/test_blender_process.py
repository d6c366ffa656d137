"""The lines to and from a worker, tried with small real processes: no Blender is needed."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from perceptransfer.core.errors import DataError, OutputError, RenderError
from perceptransfer.render import blender_env, blenderproc
from perceptransfer.render.blender_process import BlenderProcess, WorkerLostError
from perceptransfer.render.plan import IDENTITY, Body, Camera, ScenePlan, Sphere, View
from tests.exr_file import write_exr

PREFACE = """
import json, os, sys, time
def say(**message): print(json.dumps(message), flush=True)
def requests():
    for line in sys.stdin: yield json.loads(line)
"""


def start(tmp_path: Path, code: str, silence_s: float = 20.0, limit_s: float = 20.0) -> BlenderProcess:
    script = tmp_path / "worker.py"
    script.write_text(PREFACE + textwrap.dedent(code))
    return BlenderProcess([sys.executable, str(script)], tmp_path / "log.txt", silence_s, limit_s)


def gone(worker: BlenderProcess) -> bool:
    return worker.process.poll() is not None


def test_answers_come_in_order_and_beats_are_no_answers(tmp_path: Path) -> None:
    worker = start(
        tmp_path,
        """
        say(ready=1, bpy="none")
        for request in requests():
            say(beat=1)
            say(id=request["id"], twice=2 * request["number"])
            say(beat=2)
        """,
    )
    assert [worker.ask(number=n)["twice"] for n in (1, 5, 7)] == [2, 10, 14]
    worker.kill()
    assert gone(worker)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("print('no room', file=sys.stderr); sys.exit(3)", r"exit code 3\): no room"),
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("time.sleep(60)", "no sign of life for 0.5 s"),
        ("while True: say(beat=1); time.sleep(0.05)", "no answer in 2 s"),
        ("say(id=request['id'], error='out of memory', kind='memory')", "ran out of memory"),
        ("say(id=request['id'], error='OSError: x', kind='system', errno=5)", "refused by the system: OSError: x"),
        ("print('Fra:1 Mem:2M', flush=True)", "wrote b'Fra:1"),
        ("print('[1, 2]', flush=True)", "wrote b'"),
        ("say(id=request['id'] + 1)", "answered"),
    ],
)
def test_a_worker_that_is_lost_says_why_and_is_gone(tmp_path: Path, code: str, complaint: str) -> None:
    silence_s = 0.5 if "sleep(60)" in code else 20.0
    worker = start(tmp_path, f"say(ready=1)\nfor request in requests():\n    {code}", silence_s, 2.0)
    with pytest.raises(WorkerLostError, match=complaint):
        worker.ask(view={})
    assert gone(worker)


def test_a_dead_worker_takes_no_requests(tmp_path: Path) -> None:
    worker = start(tmp_path, "say(ready=1)\nfor request in requests(): pass")
    worker.process.kill()
    worker.process.wait()
    with pytest.raises(WorkerLostError, match="signal 9"):
        worker.ask(view={})


def test_what_cannot_be_drawn_ends_the_run_and_not_the_worker(tmp_path: Path) -> None:
    worker = start(
        tmp_path,
        """
        say(ready=1)
        for request in requests():
            say(id=request["id"], **({"error": "has no bone 'x'", "kind": "input"} if request["bad"] else {"fine": 1}))
        """,
    )
    with pytest.raises(DataError, match="has no bone 'x'"):
        worker.ask(bad=True)
    assert worker.ask(bad=False)["fine"] == 1
    worker.kill()


def test_a_full_disk_is_no_fault_of_the_scene(tmp_path: Path) -> None:
    full = "say(id=request['id'], error='OSError: full', kind='system', errno=28, file='/dev/shm/x')"
    worker = start(tmp_path, f"say(ready=1)\nfor request in requests():\n    {full}")
    with pytest.raises(OutputError, match="/dev/shm/x: the Blender worker cannot write"):
        worker.ask(view={})
    worker.kill()


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("say(ready=2)", "protocol 2 instead of 1"),
        (
            "say(id=0, kind='start', error=\"No module named 'bpy'\")",
            "(?s)No module named 'bpy'.*PERCEPTRANSFER_BLENDER",
        ),
        ("say(id=0, kind='start', error='libSM.so.6: cannot open')", "(?s)libSM.so.6.*libsm6.*--engine raycast"),
    ],
)
def test_a_worker_that_does_not_fit_is_an_error_with_a_remedy(tmp_path: Path, code: str, complaint: str) -> None:
    with pytest.raises(RenderError, match=complaint):
        start(tmp_path, code)


CAMERA = Camera(((20.0, 0, 3.5), (0, 20.0, 2.5), (0, 0, 1)), 8, 6, IDENTITY)
PLAN = ScenePlan(
    0, 0, (Body("ball", 7, Sphere(0.1), IDENTITY, category="ball"),), (View(0, "ball", CAMERA), View(1, "ball", CAMERA))
)
DRAWS = """
settings = json.loads(sys.argv[1])
import shutil
say(ready=1)
for request in requests():
    if "plan" in request:
        say(id=request["id"], keypoints={})
        continue
    for name in ("colours.exr", "labels.exr"):
        shutil.copy(os.environ["FAKE_PICTURES"] + "/" + name, settings["folder"])
    %s
    say(id=request["id"], outlines={"7": 8}, draw_s=1.0, draw_cpu_s=0.5)
"""


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the small worker hands over: the left half is body 7 at 2 m, seen from the front."""
    flat = np.zeros((6, 8), np.float32)
    left = flat.copy()
    left[:, :4] = 1
    write_exr(tmp_path / "colours.exr", {f"V.Combined.{part}": left for part in "RGBA"})
    normals = {"V.Normal.X": flat, "V.Normal.Y": flat, "V.Normal.Z": -left}
    depth = np.where(left > 0, np.float32(2), np.float32(1e10))
    write_exr(tmp_path / "labels.exr", {"V.Depth.V": depth, "V.IndexOB.X": 7 * left, **normals})
    monkeypatch.setenv("FAKE_PICTURES", str(tmp_path))
    monkeypatch.setattr(blender_env, "WORKER", tmp_path / "worker.py")
    return tmp_path


def executor(folder: Path, code: str = "") -> blenderproc.BlenderProc:
    (folder / "worker.py").write_text(PREFACE + DRAWS % (code or "pass"))
    return blenderproc.BlenderProc(python=sys.executable)


def test_pictures_become_what_the_room_wants(pictures: Path) -> None:
    one = executor(pictures)
    seen = list(one.render(PLAN))
    scratch = one.folder
    one.close()
    assert [it.sample for it in seen] == [0, 1]
    left = np.zeros((6, 8), bool)
    left[:, :4] = True
    assert (seen[0].instances == 7 * left).all() and seen[0].instances.dtype == np.uint16
    assert (seen[0].depth == 2.0 * left).all()
    assert (seen[0].normals[left] == [0, 0, -1]).all() and not seen[0].normals[~left].any()
    assert np.allclose(seen[0].radiance[left], 1) and np.allclose(seen[0].radiance[~left], PLAN.background.colour)
    assert seen[0].visible == {7: 1.0}  # 24 pixels of an outline of 8: never more than all
    assert (one.draw_s, one.draw_cpu_s) == (2.0, 1.0)
    assert scratch is not None and not scratch.exists()


def test_a_half_written_picture_costs_the_scene_and_the_next_call_starts_anew(pictures: Path) -> None:
    once = f"""
    if not os.path.exists({str(pictures / "cut")!r}):
        open({str(pictures / "cut")!r}, "w").close()
        with open(settings["folder"] + "/labels.exr", "r+b") as file: file.truncate(300)
    """
    one = executor(pictures, textwrap.indent(textwrap.dedent(once), "    ").strip())
    with pytest.raises(WorkerLostError, match="no whole picture"):
        list(one.render(PLAN))
    assert len(list(one.render(PLAN))) == 2
    one.close()


def test_a_killed_worker_costs_one_picture(pictures: Path) -> None:
    one = executor(pictures)
    views = one.render(PLAN)
    next(views)
    assert one.process is not None
    first = one.process.process.pid
    os.kill(first, 9)
    with pytest.raises(WorkerLostError, match="signal 9"):
        next(views)
    assert len(list(one.render(PLAN))) == 2 and one.process.process.pid != first
    one.close()


def test_workers_are_replaced_after_some_scenes(pictures: Path) -> None:
    one = executor(pictures)
    one.recycle = 2
    pids = []
    for _ in range(5):
        list(one.render(PLAN))
        assert one.process is not None
        pids.append(one.process.process.pid)
    one.close()
    assert len(set(pids)) == 3 and pids[0] == pids[1]


def test_closing_ends_a_busy_worker(pictures: Path) -> None:
    one = executor(pictures, "time.sleep(100)")
    one.limit_s = 0.5
    since = time.monotonic()
    with pytest.raises(WorkerLostError):
        list(one.render(PLAN))
    one.close()
    assert time.monotonic() - since < 60
