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
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gated_figure import draw
from torch import Tensor, nn

from perceptransfer.cli.policies import demos, train
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.policy.gates import read_gate
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.finetuning import SLOWER, target_conditions, target_robot, tunable
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.look import Look
from perceptransfer.robot.plant import LINK, PlanarPlant, PlantDynamics, PlantReach, ReachStart
from perceptransfer.robot.policies import open_policy
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.record import plain
from perceptransfer.robot.rollout import Condition, run_condition
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.tuning_report import claim_lines, table
from perceptransfer.robot.update import CrossEntropy, Score

CONFIGS = Path(__file__).parents[2] / "configs"
GATE = CONFIGS / "gates" / "planar_reach.yaml"
RULES = Rules(max_intervention_rate=0.2, intervention_budget=2500, updates=3, min_success=0.8)
FRICTION = 0.23  # N·m; the policy was made for 0.02
SHIFT = {"delay": 0.05, "backlash": 0.04, "payload": 0.3}  # s, rad, kg


def resolved_rate(observation: Tensor) -> Tensor:
    """The teacher: joint rates that bring the tip towards the target, 0.35 m/s at most; damped least squares."""
    first, both = observation[:, 0], observation[:, 0] + observation[:, 1]
    fore = LINK * torch.stack([-both.sin(), both.cos()], dim=1)
    slope = torch.stack([fore + LINK * torch.stack([-first.sin(), first.cos()], dim=1), fore], dim=2)
    way = 4.0 * observation[:, 4:]
    way = way / (way.norm(dim=1, keepdim=True) / 0.35).clamp(min=1.0)
    square = slope @ slope.transpose(1, 2) + 0.03**2 * torch.eye(2)
    return (slope.transpose(1, 2) @ torch.linalg.solve(square, way[..., None]))[..., 0]


def cloned(seed: int, steps: int = 3000) -> nn.Module:
    """A network that learned the teacher on states of the nominal arm; what is frozen afterwards."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        elbow = torch.rand(256) * 1.9 + 0.5
        seen = torch.zeros(256, 6)
        seen[:, 0], seen[:, 1] = torch.rand(256) * 2.4 - 1.2 - elbow / 2, elbow
        seen[:, 2:4] = torch.randn(256, 2) * 0.7
        seen[:, 4:] = torch.randn(256, 2) * 10 ** (torch.rand(256, 1) * 1.5 - 2.2)
        loss = (net(seen) - resolved_rate(seen)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net


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


class Setting(NamedTuple):
    """A robot behind its gate, what is tuned on it, the encoder's hash, and where: learning, watch, final ones."""

    robot: GatedEnv
    policy: TunablePolicy
    encoder: str | None
    conditions: list[Condition]


def plant(options: argparse.Namespace) -> Setting:
    """The small plant with fixed starts: learning, watch, held out, two longer delays, edge of the workspace."""
    rng, inside, edge = np.random.default_rng(20), PlantReach(), PlantReach(edge=True)

    def starts(task: PlantReach, n: int) -> tuple[ReachStart, ...]:
        return tuple(task.draw(rng) for _ in range(n))

    def shifted(more: float = 0.0) -> dict[str, Any]:
        return {"dynamics": PlantDynamics(FRICTION, **{**SHIFT, "delay": SHIFT["delay"] + more})}

    count = options.starts
    learning, watch, held_out, edges = starts(inside, 8), starts(inside, 12), starts(inside, count), starts(edge, count)
    conditions = [Condition("learning", learning, shifted()), Condition("watch", watch, shifted())]
    conditions.append(Condition("held-out starts", held_out, shifted()))
    conditions += [Condition(f"delay +{round(s * 1000)} ms", held_out, shifted(s)) for s in SLOWER]
    conditions.append(Condition("edge", edges, shifted()))
    policy = TunablePolicy(GainSchedule(frozen_policy(options.output), joints=2), {"policy": "clone"})
    return Setting(GatedEnv(HardwareEnv(PlanarPlant(), PlantReach()), read_gate(GATE)), policy, None, conditions)


def reach(options: argparse.Namespace, pictures: bool = True, worn: bool = True) -> Setting:
    """Reach from pixels in the target look on a worn arm; without ``pictures`` told the target's true place instead."""
    shift = Dynamics.read(CONFIGS / "dynamics" / "worn_arm.yaml") if worn else Dynamics()
    head, about, encoder = open_policy(options.policy, options.bundle)
    look = Look.read(CONFIGS / "looks" / "target.yaml")
    learning, watch, final = target_conditions("reach", look, shift, final=options.starts)
    robot = target_robot(read_gate(GATE), head, about, encoder if pictures else None)
    return Setting(robot, tunable(head), about.bundle, [learning, watch, *final])


WORLDS = {"plant": plant, "reach": reach}


def prepare(options: argparse.Namespace) -> None:
    """Make what reach needs and was not named: encoder and bundle by `reach.py`, a head cloned as on the command line.

    The encoder takes twenty minutes on two cores; what is finished in the output folder is not made again.
    """
    made = options.output / "made"
    if options.bundle is None:
        options.bundle = made / "bundle"
        if not options.bundle.exists():
            words = [sys.executable, str(Path(__file__).with_name("reach.py")), "--output", str(made)]
            subprocess.run([*words, "--seeds", "0", "--starts", "1"], check=True)
    if options.policy is None:
        options.policy, shown = options.output / "policy", str(options.output / "demos.hdf5")
        if not (options.policy / "policy.json").exists():
            demos(shown, look=str(CONFIGS / "looks" / "source.yaml"))
            train(shown, str(options.policy), str(options.bundle), features=[8, 10], target=[0, 2])


def frozen_policy(folder: Path) -> nn.Module:
    """The clone, made once per output folder."""
    path, net = folder / "clone.safetensors", cloned(0, steps=0)
    if not path.exists():
        Checkpoint({}, cloned(0).state_dict()).save(path)
    net.load_state_dict(dict(Checkpoint.load(path).state))
    return net


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
