"""Let an expert act and keep what it saw and did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from perceptransfer.robot.arrays import Floats
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.expert import EXPERTS, Expert
from perceptransfer.robot.worlds import ArmWorld, Start
from perceptransfer.robot.worlds.model import SPEED


def collect(
    world: ArmWorld, starts: Iterable[Start], *, noise: float = 0.3, seed: int = 0, expert: Expert | None = None
) -> list[Demonstration]:
    """One demonstration from each start.

    What is carried out differs from what is recorded: ``noise`` (share of the speed bound) is the standard deviation
    of a slowly changing disturbance, so that the demonstrations show how to come back to the way (DART, Laskey et al.
    2017). Beside the observations, ``obs`` holds ``state``: proprio, target and puck, for policies that see the truth.
    """
    expert = expert or EXPERTS[world.name]
    return [_episode(world, start, expert, noise, np.random.default_rng([seed, start.seed])) for start in starts]


def _episode(world: ArmWorld, start: Start, expert: Expert, noise: float, rng: np.random.Generator) -> Demonstration:
    observation, info = world.reset(options={"start": start})
    rows: dict[str, list[Any]] = {"actions": [], "rewards": [], "dones": [], "states": [], "executed": []}
    seen: dict[str, list[Any]] = {name: [] for name in (*observation, "state")}
    labels: dict[str, list[Any]] = {name: [] for name in info["labels"]}
    push, ended = np.zeros(2), False
    while not ended:
        for name, value in {**observation, "state": true_state(observation, info)}.items():
            seen[name].append(value)
        for name, value in info["labels"].items():
            labels[name].append(value)
        action = expert(info)
        push = 0.8 * push + 0.6 * noise * SPEED * rng.standard_normal(2)  # stationary: 0.8² + 0.6² = 1
        executed = np.clip(action + push, -SPEED, SPEED)
        rows["states"].append(np.concatenate([world.data.qpos, world.data.qvel]))
        observation, reward, success, cut, info = world.step(executed)
        ended = success or cut
        for name, value in (("actions", action), ("executed", executed), ("rewards", reward), ("dones", ended)):
            rows[name].append(value)
    return Demonstration(
        obs={name: np.array(column) for name, column in seen.items()},
        actions=np.array(rows["actions"], dtype=np.float32),
        rewards=np.array(rows["rewards"], dtype=np.float32),
        dones=np.array(rows["dones"], dtype=np.int64),
        states=np.array(rows["states"]),
        extra={
            "action.executed": np.array(rows["executed"], dtype=np.float32),
            **{f"labels/{name}": np.array(column) for name, column in labels.items()},
        },
    )


def true_state(observation: Mapping[str, Any], info: Mapping[str, Any]) -> Floats:
    """Proprio and target; where there is a puck also the puck, the way from tip to puck and that from puck to target.

    Joint angles (rad) and speeds (rad/s), then places and ways x, y in m. The ways follow from the rest, but cloning
    learns to push from few demonstrations much better when it is handed them.
    """
    labels = info["labels"]
    parts = [observation["proprio"], labels["target"]]
    if "puck" in labels:
        parts += [labels["puck"], labels["puck"] - labels["tip"][:2], labels["target"] - labels["puck"]]
    return np.concatenate(parts)


def env_args(world: ArmWorld) -> dict[str, Any]:
    """What robomimic wants to know of the environment; type 2 stands for Gym."""
    return {"env_name": f"perceptransfer/{world.name}", "type": 2, "env_kwargs": world.describe()}
