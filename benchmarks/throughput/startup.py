"""Start-up of the command line over that of Python itself: ``python benchmarks/throughput/startup.py``."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the median ratio of interleaved runs."""
    beside = Path(sys.executable).with_name("perceptransfer")
    script = str(beside) if beside.exists() else shutil.which("perceptransfer") or "perceptransfer"
    pairs = [(seconds([script, "--help"]), seconds([sys.executable, "-c", "pass"])) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / bare for mine, bare in pairs)
    print(
        f"perceptransfer --help takes {ratio:.1f} times python -c pass (median of {ROUNDS} pairs; at most 5 is meant)"
    )


if __name__ == "__main__":
    main()
