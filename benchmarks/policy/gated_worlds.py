"""The two robots on which `gated_finetuning.py` runs: a small plant without pictures, and reach from pixels."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from perceptransfer.cli.policies import demos, train
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.finetuning import SLOWER, target_conditions, target_robot, tunable
from perceptransfer.robot.gated import GatedEnv
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.look import Look
from perceptransfer.robot.plant import LINK, PlanarPlant, PlantDynamics, PlantReach, ReachStart
from perceptransfer.robot.policies import open_policy
from perceptransfer.robot.rollout import Condition
from perceptransfer.robot.subsets import GainSchedule
from perceptransfer.robot.tunable import TunablePolicy

CONFIGS = Path(__file__).parents[2] / "configs"
GATE = CONFIGS / "gates" / "planar_reach.yaml"
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


def prepare(options: argparse.Namespace) -> None:
    """Make what reach needs and was not named: a bundle by `closed_loop.py`, a head cloned as on the command line.

    The encoder takes twenty minutes on two cores; what is finished in the output folder is not made again.
    """
    made = options.output / "made"
    if options.bundle is None:
        options.bundle = made / "bundle"
        if not options.bundle.exists():
            words = [sys.executable, str(Path(__file__).with_name("closed_loop.py")), "--output", str(made)]
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


WORLDS = {"plant": plant, "reach": reach}
