"""Tune a frozen policy behind gates on an arm with other dynamics than it was made for.

``python benchmarks/policy/gated_finetuning.py --world reach --output results/gated_reach``

Shows three things and fails if one does not hold: success rises with no tick outside the envelope; a poisoned update
is rolled back to a checkpoint with the hash of the one before; a run killed with SIGKILL in the middle of an update
goes on to the same weights, its ledger intact. ``reach`` is the MuJoCo world from pixels, in the target look on a worn
arm; ``plant``, the default, a small arm without pictures that takes two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gated_figure import draw
from gated_worlds import WORLDS, prepare, reach

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.record import plain
from perceptransfer.robot.rollout import run_condition
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.tuning_report import claim_lines, table
from perceptransfer.robot.update import CrossEntropy, Score

RULES = Rules(max_intervention_rate=0.2, intervention_budget=2500, updates=3, min_success=0.8)


class Poisoned(CrossEntropy):
    """The honest rule, but for one update that turns every gain up to its bound."""

    def __init__(self, at: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.at = at

    def propose(self, weights: Floats, score: Score, rng: np.random.Generator, update: int) -> Floats:
        if update == self.at:
            return np.full_like(weights, 1.5)
        return super().propose(weights, score, rng, update)


class DieAfter(gymnasium.Wrapper[Any, Any, Any, Any]):
    """SIGKILL to the own process in a given tick: the power plug, as far as a program can pull it."""

    def __init__(self, env: gymnasium.Env[Any, Any], ticks: int) -> None:
        super().__init__(env)
        self.left = ticks

    def step(self, action: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.env.step(action)


def protocol(options: argparse.Namespace, part: str) -> GatedFineTuning:
    """One run, in a folder of its own."""
    robot, policy, encoder, (learning, watch, *final) = WORLDS[options.world](options)
    if options.die_after is not None:
        robot.env = DieAfter(robot.env, options.die_after)
    return GatedFineTuning(
        robot,
        policy,
        Poisoned() if part == "poisoned" else CrossEntropy(),
        replace(RULES, updates=2) if part == "poisoned" else RULES,
        learning=learning,
        watch=watch,
        final=final if part != "poisoned" else final[:1],
        folder=options.output / part,
        seed=options.seed,
        encoder_hash=encoder,
        progress=lambda line: print(f"{part}: {line}", flush=True),
    )


def told_the_truth(options: argparse.Namespace, report: dict[str, Any]) -> dict[str, Any]:
    """The same starts with the target's true place instead of pictures: which failures are perception's.

    ``failures`` are those of the tuned policy from pictures; ``of perception`` those of them that succeed when told.
    """
    robot, policy, _, (_, _, *final) = reach(options, pictures=False)
    found: dict[str, Any] = {condition.name: {} for condition in final}
    for side in ("frozen", "tuned"):
        path = options.output / "tuned" / "checkpoints" / f"{report[f'{side}_policy']}.safetensors"
        policy.restore(Checkpoint.load(path))
        for condition in final:
            good = {e.start for e in run_condition(robot, policy, condition) if e.success}
            found[condition.name][side] = {"successes": len(good), "n": len(condition.starts)}
            if side == "tuned":
                failed = [row["start"] for row in report["failures"][condition.name]]
                shares = {"failures": len(failed), "of perception": len(good.intersection(failed))}
                found[condition.name].update(shares)
    return found


def not_worn(options: argparse.Namespace) -> dict[str, Any]:
    """The frozen policy from pictures of the same starts on the arm that it was made for: what perception alone costs.

    The delays on top stay.
    """
    robot, policy, _, (_, _, *final) = reach(options, worn=False)
    good = {c.name: sum(e.success for e in run_condition(robot, policy, c)) for c in final}
    return {name: {"successes": count, "n": options.starts} for name, count in good.items()}


def killed_and_resumed(options: argparse.Namespace, ticks: int) -> dict[str, Any]:
    """A run killed in a tick of its second update, and the same command once more."""
    words = [sys.executable, __file__, "--world", options.world, "--output", str(options.output), "--part", "killed"]
    words += ["--starts", str(options.starts), "--seed", str(options.seed)]
    if options.world == "reach":
        words += ["--policy", str(options.policy), "--bundle", str(options.bundle)]
    first = subprocess.run([*words, "--die-after", str(ticks)], stdout=subprocess.DEVNULL)
    ledger = Ledger(options.output / "killed" / "ledger.jsonl")
    rows = [row["kind"] for row in ledger.rows()]
    second = subprocess.run(words, stdout=subprocess.DEVNULL)
    report = json.loads((options.output / "killed" / "report.json").read_text())
    after = Counter(row["kind"] for row in ledger.rows())
    return {
        "exit": [first.returncode, second.returncode],
        "killed inside update": rows.count("update_begin") - rows.count("update_end") == 1,
        "ticks on record at the kill": rows.count("tick"),
        "abandoned": after["update_abandoned"],
        "rows verified": ledger.verify(),
        "tuned_policy": report["tuned_policy"],
    }


def tick_of_second_update(folder: Path) -> int:
    """A tick in the middle of the second update of a finished run, counted from the run's first."""
    rows = [row for row in Ledger(folder / "ledger.jsonl").rows() if row["kind"] == "tick"]
    inside = [number for number, row in enumerate(rows) if row["update"] == 1]
    return inside[len(inside) // 2]


def summary(options: argparse.Namespace) -> dict[str, Any]:
    """All three parts and what has to hold."""
    tuned, poisoned = protocol(options, "tuned").run(), protocol(options, "poisoned").run()
    resumed = killed_and_resumed(options, tick_of_second_update(options.output / "tuned"))
    bad = poisoned["updates"][1]
    improved, safe = tuned["claims"]["improvement"], tuned["claims"]["safety"]
    holds = {
        "success improves": improved["supported"],
        "no tick outside the envelope": safe["violations"] == 0 == poisoned["claims"]["safety"]["violations"],
        "poisoned update rolled back": not bad["kept"] and bad["after"] == bad["before"] != bad["proposed"],
        "killed and resumed to the same weights": resumed["exit"] == [-signal.SIGKILL, 0]
        and bool(resumed["killed inside update"])
        and resumed["abandoned"] == 1
        and resumed["tuned_policy"] == tuned["tuned_policy"],
        "ledgers verify": all(Ledger(options.output / p / "ledger.jsonl").verify() > 0 for p in ("tuned", "poisoned")),
    }
    result = {"world": options.world, "holds": holds, "tuned": tuned, "poisoned": bad, "resumed": resumed}
    if options.world == "reach":
        result |= {"told the truth": told_the_truth(options, plain(tuned)), "not worn": not_worn(options)}
    return result


def print_result(result: dict[str, Any]) -> None:
    """What a reader wants to see first."""
    print(table(result["tuned"]), *claim_lines(result["tuned"]), sep="\n")
    print(f"poisoned update: {result['poisoned']['reason']}")
    for name, row in result.get("told the truth", {}).items():
        told = ", ".join(f"{side} {row[side]['successes']}/{row[side]['n']}" for side in ("frozen", "tuned"))
        print(f"told the truth, {name}: {told}; of {row['failures']} failures {row['of perception']} are perception's")
    for name, row in result.get("not worn", {}).items():
        print(f"frozen, arm not worn, {name}: {row['successes']}/{row['n']}")
    for what, holds in result["holds"].items():
        print(f"{'ok ' if holds else 'NOT'} {what}")


def main() -> int:
    """Run and judge; 1 if anything that has to hold does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="plant")
    parser.add_argument("--output", type=Path, default=Path("results/gated_finetuning"))
    parser.add_argument("--starts", type=int, default=20, help="starts of each final condition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["tuned", "killed"], help="one run only")
    parser.add_argument("--die-after", type=int, help="SIGKILL in this tick")
    parser.add_argument("--policy", type=Path, help="reach: folder of a head; made if not given")
    parser.add_argument("--bundle", type=Path, help="reach: folder of the encoder's bundle; made if not given")
    parser.add_argument("--summary", type=Path, help="JSON file to write, and a picture of the same name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.world == "reach":
        prepare(options)
    if options.part:
        protocol(options, options.part).run()
        return 0
    result = plain(summary(options))
    print_result(result)
    if options.summary:
        write_atomic(options.summary, json.dumps(result, indent=1) + "\n")
        draw(result, options.summary.with_suffix(".png"))
    return 0 if all(result["holds"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
