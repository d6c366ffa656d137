"""Kill the default benchmark at random moments and go on: is the summary the same, and what was done twice?

``python benchmarks/real_fraction/resume.py`` runs the grid once undisturbed and once killed (``kill -9``), in the
folder of ``--output``. ``--reference`` names the results of an undisturbed run that is there already. Words after
``--`` go to ``perceptransfer benchmark``.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

FULL_RUN = 240.0
"""Seconds within which the moments of the kills are drawn; a run that ends earlier is killed less often."""


def start(folder: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """The same command each time."""
    command = [sys.executable, "-m", "perceptransfer.cli", "benchmark", "--output", str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ledger(folder: Path, kind: str) -> Counter[str]:
    """How often each stage was trained (``stage``) or each cell scored (``cell``)."""
    rows = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    names = {"stage": ("key",), "cell": ("arm", "fraction", "seed")}[kind]
    return Counter("/".join(str(row[name]) for name in names) for row in rows if row["kind"] == kind)


def main() -> int:
    """Exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/resume"))
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=FULL_RUN)
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    whole, killed = given.reference or given.output / "whole", given.output / "killed"
    if given.reference is None and start(whole, given.words).wait() != 0:
        return 1
    moments = random.Random(given.seed)
    for _ in range(given.kills):
        wait = moments.uniform(1, given.within / given.kills)
        process = start(killed, given.words)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        ended = process.wait() != -signal.SIGKILL
        rows = killed / "results.jsonl"
        count = len(rows.read_text().splitlines()) if rows.exists() else 0
        print(f"killed after {wait:.1f} s with {count} cells finished" + ", but it had ended" * ended, flush=True)
    if start(killed, given.words).wait() != 0:
        return 1
    same = (whole / "summary.json").read_bytes() == (killed / "summary.json").read_bytes()
    cells, stages = ledger(killed, "cell"), ledger(killed, "stage")
    twice = [name for counts in (cells, stages) for name, count in counts.items() if count > 1]
    print(f"summary.json identical: {same}; {len(cells)} cells and {len(stages)} stages, done twice: {twice or 'none'}")
    return 0 if same and not twice else 1


if __name__ == "__main__":
    sys.exit(main())
