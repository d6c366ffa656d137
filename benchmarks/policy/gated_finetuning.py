"""Tune a frozen policy behind gates on an arm with other dynamics than it was made for.

``python benchmarks/policy/gated_finetuning.py --world plant --output results/gated_finetuning``

Shows three things and fails if one does not hold: success rises with no tick outside the envelope; a poisoned update
is rolled back to a checkpoint with the hash of the one before; a run killed with SIGKILL in the middle of an update
goes on to the same weights, its ledger intact. ``--world reach`` takes the MuJoCo world instead of the small plant.
"""

from __future__ import annotations

import argparse
import json
import math
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
from torch import Tensor, nn

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.files import write_atomic
from perceptransfer.core.ledger import Ledger
from perceptransfer.policy.gates import read_gate
from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.plant import LINK, PlanarPlant, PlantDynamics, PlantReach, ReachStart
from perceptransfer.robot.protocol import GatedFineTuning
from perceptransfer.robot.record import plain
from perceptransfer.robot.rollout import Condition
from perceptransfer.robot.statistics import Rules
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.tunable import TunablePolicy
from perceptransfer.robot.update import CrossEntropy, Score
from perceptransfer.robot.with_evidence import WithEvidence

GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"
RULES = Rules(max_intervention_rate=0.2, intervention_budget=2500, updates=3, min_success=0.8)
FRICTION = 0.23  # N·m; the policy was made for 0.02
SHIFT = {"delay": 0.05, "backlash": 0.04, "payload": 0.3}  # s, rad, kg
SLOWER = (0.05, 0.1)  # s of delay on top, for the final evaluation


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

    def __init__(self, env: gymnasium.Env[Any, Any], ticks: int | None) -> None:
        super().__init__(env)
        self.left = math.inf if ticks is None else ticks

    def step(self, action: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.env.step(action)


class TrueState(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The MuJoCo world with the plant's observation: angles, rates, way to the target, without pictures."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float32)

    def reset(self, **options: Any) -> Any:
        _, info = self.env.reset(**options)
        return self._seen(info), info

    def step(self, action: Any) -> Any:
        _, *rest = self.env.step(action)
        return self._seen(rest[-1]), *rest

    def _seen(self, info: dict[str, Any]) -> Floats:
        at = info["measured"]
        way = info["labels"]["target"] - at["tip_position"][:2]
        return np.concatenate([at["joint_position"], at["joint_speed"], way]).astype(np.float32)


def plant(count: int) -> tuple[gymnasium.Env[Any, Any], list[Condition]]:
    """The small plant with fixed starts: learning, watch, held out, two longer delays, edge of the workspace."""
    rng, inside, edge = np.random.default_rng(20), PlantReach(), PlantReach(edge=True)

    def starts(task: PlantReach, n: int) -> tuple[ReachStart, ...]:
        return tuple(task.draw(rng) for _ in range(n))

    def shifted(more: float = 0.0) -> dict[str, Any]:
        return {"dynamics": PlantDynamics(FRICTION, **{**SHIFT, "delay": SHIFT["delay"] + more})}

    learning, watch, held_out, edges = starts(inside, 8), starts(inside, 12), starts(inside, count), starts(edge, count)
    conditions = [Condition("learning", learning, shifted()), Condition("watch", watch, shifted())]
    conditions.append(Condition("held-out starts", held_out, shifted()))
    conditions += [Condition(f"delay +{round(s * 1000)} ms", held_out, shifted(s)) for s in SLOWER]
    return HardwareEnv(PlanarPlant(), PlantReach()), [*conditions, Condition("edge", edges, shifted())]


def reach(count: int) -> tuple[gymnasium.Env[Any, Any], list[Condition]]:
    """The MuJoCo reach world under shifted dynamics, with its own panels."""
    from perceptransfer.robot.dynamics import Dynamics
    from perceptransfer.robot.panels import panel
    from perceptransfer.robot.worlds import Reach

    def shifted(more: float = 0.0) -> dict[str, Any]:
        return {"dynamics": Dynamics(joint_friction=FRICTION, **{**SHIFT, "delay": SHIFT["delay"] + more})}

    def named(name: str, panel_name: str, n: int, more: float = 0.0) -> Condition:
        return Condition(name, panel("reach", panel_name, n).starts, shifted(more))

    conditions = [named("learning", "train", 8), named("watch", "validation", 12)]
    conditions.append(named("held-out starts", "held_out", count))
    conditions += [named(f"delay +{round(s * 1000)} ms", "test", count, s) for s in SLOWER]
    return WithEvidence(TrueState(Reach(size=0))), [*conditions, named("edge", "edge", count)]


WORLDS = {"plant": plant, "reach": reach}


def frozen_policy(folder: Path) -> nn.Module:
    """The clone, made once per output folder."""
    path, net = folder / "clone.safetensors", cloned(0, steps=0)
    if not path.exists():
        Checkpoint({}, cloned(0).state_dict()).save(path)
    net.load_state_dict(dict(Checkpoint.load(path).state))
    return net


def protocol(options: argparse.Namespace, part: str) -> GatedFineTuning:
    """One run, in a folder of its own."""
    world, (learning, watch, *final) = WORLDS[options.world](options.starts)
    return GatedFineTuning(
        GatedEnv(DieAfter(world, options.die_after), read_gate(GATE)),
        TunablePolicy(GainSchedule(frozen_policy(options.output), joints=2), {"policy": "clone with gain schedule"}),
        Poisoned() if part == "poisoned" else CrossEntropy(),
        replace(RULES, updates=2) if part == "poisoned" else RULES,
        learning=learning,
        watch=watch,
        final=final if part != "poisoned" else final[:1],
        folder=options.output / part,
        seed=options.seed,
    )


def killed_and_resumed(options: argparse.Namespace, ticks: int) -> dict[str, Any]:
    """A run killed in a tick of its second update, and the same command once more."""
    words = [sys.executable, __file__, "--world", options.world, "--output", str(options.output), "--part", "killed"]
    words += ["--starts", str(options.starts), "--seed", str(options.seed)]
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
    return {"world": options.world, "holds": holds, "tuned": tuned, "poisoned": bad, "resumed": resumed}


def print_table(result: dict[str, Any]) -> None:
    """What a reader wants to see first."""
    claims = result["tuned"]["claims"]
    print("| condition | tuned successes | 95 % interval | interventions / ticks | violations |\n|---|---|---|---|---|")
    for name, row in claims["deployment"]["conditions"].items():
        low, high = row["interval"]
        counts = f"{row['interventions']} / {row['ticks']} | {row['violations']}"
        print(f"| {name} | {row['successes']} of {row['n']} | {low:.2f} – {high:.2f} | {counts} |")
    improved, safe = claims["improvement"], claims["safety"]
    frozen, tuned = improved["frozen"], improved["tuned"]
    print(f"\nfrozen {frozen['successes']}, tuned {tuned['successes']} of {tuned['n']}")
    print(f"gained {improved['gained']}, lost {improved['lost']}, p = {improved['p']:.2g}")
    bound = safe["violation_rate_per_tick_at_most"]
    print(f"{safe['violations']} violations in {safe['proposed_ticks']} proposed ticks, at most {bound:.2g} a tick")
    print(f"poisoned update: {result['poisoned']['reason']}")
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
    parser.add_argument("--summary", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.part:
        protocol(options, options.part).run()
        return 0
    result = plain(summary(options))
    print_table(result)
    if options.summary:
        write_atomic(options.summary, json.dumps(result, indent=1) + "\n")
    return 0 if all(result["holds"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
