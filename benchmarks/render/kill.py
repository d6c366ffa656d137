"""Kills rendering with -9, again and again, continues it, and compares the set with an uninterrupted one.

    python benchmarks/render/kill.py --count 48 --kills 6

Half of the kills hit the command itself, half one of its Blender processes. Then one sample is rendered alone in a
new folder and compared with the same sample of the whole set.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(given: argparse.Namespace, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command that renders into a folder."""
    command = [sys.executable, "-m", "perceptransfer.cli", "render", str(given.scene), str(folder)]
    command += ["--count", str(given.count), "--workers", str(given.workers), "--engine", given.engine]
    command += [part for change in given.set for part in ("--set+", change)]
    command += ["--quiet", "true", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def below(pid: int) -> list[tuple[int, str]]:
    """Processes started by a process, by its children and so on, with their command lines (Linux)."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            try:
                line = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            found += [(int(child), line), *below(int(child))]
    return found


def done(folder: Path) -> int:
    """Samples that count."""
    return len(list((folder / "labels").glob("[0-9]*.json")))


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file of the set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    """Render, kill, continue, compare; the exit code says whether all is equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=ROOT / "datasets" / "lmo" / "scene.yaml")
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--engine", default="blenderproc")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        whole, broken, alone = (Path(place) / name for name in ("whole", "broken", "alone"))
        if start(given, whole).wait():
            sys.exit("the uninterrupted run failed")
        killed = {"command": 0, "worker": 0}
        running = start(given, broken)
        last, who = 0, "command"
        while sum(killed.values()) < given.kills and running.poll() is None:
            if done(broken) < last + rng.randint(1, max(1, given.count // given.kills - 1)):
                time.sleep(rng.uniform(0.05, 0.5))
                continue
            workers = [pid for pid, line in below(running.pid) if "worker.py" in line]
            who = "worker" if who == "command" and workers else "command"
            os.kill(rng.choice(workers) if who == "worker" else running.pid, signal.SIGKILL)
            killed[who] += 1
            last = done(broken)
            print(f"killed the {who} with {last} of {given.count} samples done", flush=True)
            if who == "command":
                running.wait()
                running = start(given, broken)
        code = running.wait()
        if code:
            code = start(given, broken).wait()
        one = given.count // 2
        start(given, alone, "--only", str(one)).wait()
        first, second = tree(whole), tree(broken)
        other = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
        by_itself = {name: it for name, it in tree(alone).items() if f"{one:06d}" in name}
        same = {name: it == first.get(name) for name, it in by_itself.items()}
        result = {"kills": killed, "files": len(first), "files_that_differ": other, "exit_code": code}
        print(
            json.dumps({**result, "alone": {"sample": one, "files": len(same), "equal": all(same.values())}}, indent=1)
        )
        sys.exit(bool(code or other or not same or not all(same.values())))


if __name__ == "__main__":
    main()
