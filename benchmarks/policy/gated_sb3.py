"""The gated environment under Stable-Baselines3: ``python benchmarks/policy/gated_sb3.py [--steps N]``.

Runs its environment checker, then PPO, and prints what the gate did to the learner's proposals. Needs
``pip install stable-baselines3`` (tried with 2.9.2), which the package itself does not depend on.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

from perceptransfer.metrics import rule_of_three
from perceptransfer.policy.gates import read_gate
from perceptransfer.robot.gated import GatedEnv, Tick
from perceptransfer.robot.hardware import HardwareEnv
from perceptransfer.robot.plant import PlanarPlant, PlantReach

GATE = Path(__file__).parents[2] / "configs" / "gates" / "planar_reach.yaml"


def main() -> int:
    """Check, learn, count; 1 if a measured state left the envelope."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2048)
    options = parser.parse_args()
    ticks: list[Tick] = []
    env = GatedEnv(HardwareEnv(PlanarPlant(), PlantReach()), read_gate(GATE), record=ticks.append)
    check_env(env, warn=True)
    ticks.clear()
    PPO("MlpPolicy", env, n_steps=256, batch_size=64, seed=0, device="cpu").learn(options.steps)
    kinds = Counter(tick.decision.kind.value for tick in ticks)
    outside = sum(bool(tick.audit.violated) for tick in ticks)
    print(f"check_env passes; PPO proposed {len(ticks)} actions: {dict(kinds)}")
    print(f"{outside} measured states outside the envelope; rate at most {rule_of_three(len(ticks)):.2g} a tick")
    return int(outside > 0)


if __name__ == "__main__":
    raise SystemExit(main())
