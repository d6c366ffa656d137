"""``benchmarks/real_fraction/compare_runs.py``: two finished runs, numbers by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from perceptransfer.benchmark.rows import Row, append_rows


def run(checkout: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    script = checkout / "benchmarks" / "real_fraction" / "compare_runs.py"
    return subprocess.run(
        [sys.executable, str(script), *map(str, folders)], capture_output=True, text=True, check=False
    )


def classified(arm: str, seed: int, correct: str, key: str) -> Row:
    share = correct.count("1") / len(correct)
    place = {"fraction": 0.0, "n_real": 0, "metric": "accuracy", "direction": "higher", "n_test": len(correct)}
    return Row(arm=arm, seed=seed, score=share, correct=correct, keys=[f"{key}{seed}"], setup=key, **place)  # type: ignore[arg-type]


def measured(seed: int, error: float, key: str) -> Row:
    place = {"fraction": 0.1, "n_real": 9, "metric": "abs_rel", "direction": "lower"}
    return Row(arm="I", seed=seed, task="depth", score=error, keys=[f"{key}{seed}"], **place)  # type: ignore[arg-type]


def test_differences_by_hand_over_the_seeds_of_both(checkout: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    append_rows(
        one / "results.jsonl",
        [
            *(classified("D", seed, "1100", "x") for seed in range(6)),
            *(classified("G", seed, "1100", "y") for seed in range(6)),
            *(classified("A", seed, "1110", "same") for seed in range(6)),
            *(measured(seed, 0.2, "d") for seed in range(3)),
        ],
    )
    append_rows(
        two / "results.jsonl",
        [
            *(classified("D", seed, "1110", "v") for seed in range(6)),
            *(classified("G", seed, "1100" if seed % 2 else "0100", "w") for seed in range(6)),
            *(classified("A", seed, "1110", "same") for seed in range(6)),
            *(measured(seed, 0.15, "e") for seed in range(1, 5)),
        ],
    )

    done = run(checkout, one, two)

    assert done.returncode == 0, done.stderr
    lines = {tuple(line.split(" | ")[:2]): line.split(" | ") for line in done.stdout.splitlines() if line[:3] != "|:-"}
    better, worse, error = lines["| D", "0\u00a0%"], lines["| G", "0\u00a0%"], lines["| I", "10\u00a0%"]
    # All six differences are +25: two of 64 sign vectors reach that, times two tests. Three are -25 and three 0: 1/4.
    assert better[2:5] == ["50.0", "two", "75.0"] and better[5].startswith("+25.0") and better[6] == "0.062 |"
    assert worse[2:5] == ["50.0", "two", "37.5"] and worse[5].startswith("\u221212.5") and worse[6] == "0.250 |"
    assert ("| A", "0\u00a0%") not in lines, "one checkpoint is not compared with itself"
    # Less error is better; two seeds in common are too few for a test.
    assert error[2:5] == ["0.2", "two", "0.15"] and error[5].startswith("+0.05") and error[6] == "\u2013 |"


def test_runs_without_a_seed_in_common_are_refused(checkout: Path, tmp_path: Path) -> None:
    append_rows(tmp_path / "one" / "results.jsonl", [classified("D", seed, "10", "x") for seed in range(3)])
    append_rows(tmp_path / "two" / "results.jsonl", [classified("D", seed, "10", "y") for seed in range(6, 9)])

    done = run(checkout, tmp_path / "one", tmp_path / "two")

    assert done.returncode != 0 and "no seed in common" in done.stderr


def test_folders_without_results_or_of_one_name_are_refused(checkout: Path, tmp_path: Path) -> None:
    for folder in ("a/run", "b/run"):
        append_rows(tmp_path / folder / "results.jsonl", [classified("D", seed, "10", folder) for seed in range(3)])

    absent = run(checkout, tmp_path / "a" / "run", tmp_path / "absent")
    twice = run(checkout, tmp_path / "a" / "run", tmp_path / "b" / "run")

    assert absent.returncode != 0 and str(tmp_path / "absent" / "results.jsonl") in absent.stderr
    assert twice.returncode == 2 and "must differ" in twice.stderr
