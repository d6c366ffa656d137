"""What a rendered sample costs beyond the renderer's own work, and what a second worker brings.

    python benchmarks/render/cost.py --scenes 12 --pixels 128 --samples 16 --out cost.json

Bare is the processor time of Blender's `bpy.ops.render.render` for the picture itself, taken in the same process with
the same scene. All is everything that a sample takes once the worker runs: drawing its plan, building the scene, the
picture, the labels, the sensor, writing files, in both processes. Beside them stands the rule of thumb
0.04 s + 1.45 µs a pixel and light path.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from perceptransfer.render.blenderproc import BlenderProc
from perceptransfer.render.run import render
from perceptransfer.render.scene import Scene
from perceptransfer.render.spec import read_scene
from perceptransfer.render.writer import begin, write_sample

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Processor seconds of another process, all threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def one_worker(scene: Scene, scenes: int, samples: int) -> dict[str, float]:
    """Costs a sample, the first scene (compiling, loading) left out."""
    one = BlenderProc(samples=samples)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        begin(folder, scene, 0)
        _scene(scene, one, folder, 0)
        assert one.process is not None
        pid, made = one.process.process.pid, 0
        start = (time.perf_counter(), time.process_time(), cpu_of(pid), one.draw_cpu_s, one.draw_s)
        for index in range(1, scenes + 1):
            made += _scene(scene, one, folder, index)
        end = (time.perf_counter(), time.process_time(), cpu_of(pid), one.draw_cpu_s, one.draw_s)
    one.close()
    wall, parent, worker, bare, bare_wall = ((b - a) / made for a, b in zip(start, end, strict=True))
    return {
        "images": made,
        "images_per_s": 1 / wall,
        "wall_ms": 1e3 * wall,
        "bare_wall_ms": 1e3 * bare_wall,
        "cpu_ms": 1e3 * (parent + worker),
        "cpu_ms_of_which_python": 1e3 * parent,
        "bare_cpu_ms": 1e3 * bare,
        "overhead_cpu": (parent + worker) / bare - 1,
        "overhead_wall": wall / bare_wall - 1,
    }


def _scene(scene: Scene, one: BlenderProc, folder: Path, index: int) -> int:
    plan = scene.sample(0, index)
    for view, seen in zip(plan.views, one.render(plan), strict=True):
        write_sample(folder, scene, plan, view, seen)
    return len(plan.views)


def rate(scene: Scene, count: int, workers: int, samples: int) -> float:
    """Images a second of a whole run, from the first finished image of every worker on."""
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        render(
            scene,
            Path(place) / "set",
            count,
            workers=workers,
            engine="blenderproc",
            options={"samples": samples},
            progress=lambda done, wanted, seconds: seen.append(seconds),
        )
    warm = scene.views_per_scene * workers  # every worker has drawn a scene by then
    return (len(seen) - warm) / (seen[-1] - seen[warm - 1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=ROOT / "datasets" / "lmo" / "scene.yaml")
    parser.add_argument("--set", nargs="*", default=[], help='changes to the scene file: "dotted.key=value"')
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--no-pair", action="store_true", help="do not compare one worker with two")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    changes: dict[str, Any] = dict(text.split("=", 1) for text in given.set)
    scene = read_scene(given.scene, {**changes, "crops.size_px": [given.pixels, given.pixels]})
    found: dict[str, Any] = {"pixels": given.pixels, "samples": given.samples, "load": os.getloadavg()[0]}
    found["rule_cpu_ms"] = 40 + 1.45e-3 * given.pixels**2 * given.samples
    found |= one_worker(scene, given.scenes, given.samples)
    if not given.no_pair:
        rates = [rate(scene, given.scenes * scene.views_per_scene, workers, given.samples) for workers in (1, 2)]
        found |= {"one_worker_per_s": rates[0], "two_workers_per_s": rates[1], "gain": rates[1] / rates[0]}
    text = json.dumps(found, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
