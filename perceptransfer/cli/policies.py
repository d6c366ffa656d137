"""Commands about policies: demonstrations, cloning, closed loop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from perceptransfer.core.errors import ConfigError
from perceptransfer.core.extras import require
from perceptransfer.core.files import write_atomic
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import FEATURES, clone
from perceptransfer.policy import ChunkHead, MLPHead, PolicyHead, load_encoder, save_policy
from perceptransfer.robot.closed_loop import Row, conditions, evaluate
from perceptransfer.robot.collect import collect, env_args
from perceptransfer.robot.demonstrations import read_demonstrations, write_demonstrations
from perceptransfer.robot.lerobot_dataset import read_lerobot, write_lerobot
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.planar import PROPRIO, planar_head
from perceptransfer.robot.policies import HeadPolicy, frozen_features, open_policy
from perceptransfer.robot.report import filmstrip, markdown, summarize
from perceptransfer.robot.training import columns, with_pose
from perceptransfer.robot.worlds import WORLDS

World = Literal["reach", "push"]


def demos(
    output: str,
    world: World = "reach",
    count: int = 50,
    look: str | None = None,
    noise: float = 0.3,
    seed: int = 0,
    size: int = 96,
    layout: Literal["hdf5", "lerobot"] = "hdf5",
) -> int:
    """Let the scripted expert act from the starts of the panel train, and write what it saw and did.

    Args:
        output: The file to write, or the folder.
        world: reach or push.
        count: Number of demonstrations.
        look: Look file; null takes the plain look.
        noise: Disturbance of what is carried out, as share of the speed bound; push wants 0.05.
        seed: Seed of the disturbance.
        size: Pixels of the square pictures; 0 records none.
        layout: hdf5 (a file as robomimic reads it) or lerobot (a LeRobotDataset folder; extra lerobot).
    """
    if layout == "lerobot":
        require("lerobot", "lerobot")  # rather now than after the work
    made = WORLDS[world](_look(look), size=size)
    try:
        episodes = collect(made, panel(world, "train", count).starts, noise=noise, seed=seed)
        if layout == "lerobot":
            write_lerobot(Path(output), episodes, env_args(made), fps=round(1 / made.dt))
        else:
            write_demonstrations(Path(output), episodes, env_args(made))
    finally:
        made.close()
    reached = sum(len(episode) < made.limit for episode in episodes)
    print(f"{output}: {count} demonstrations, {sum(map(len, episodes))} ticks, {reached} reached the goal")
    return 0


def train(
    demonstrations: str,
    output: str,
    bundle: str | None = None,
    head: Literal["planar", "mlp", "chunk"] = "planar",
    horizon: int = 8,
    steps: int = 1500,
    lr: float = 1e-3,
    seed: int = 0,
    features: list[int] | None = None,
    target: list[int] | None = None,
    pose: Literal["labels", "encoder"] = "labels",
) -> int:
    """Clone demonstrations: a policy head on the features of a frozen encoder, computed once.

    Args:
        demonstrations: File or folder that demos wrote, or a file of robomimic's.
        output: Folder for the policy.
        bundle: Folder of the exported encoder; null clones from the simulator's true state, as an upper bound.
        head: planar (acts in the workspace, in any direction alike; needs a pose), mlp (one action from all it sees)
            or chunk (the next actions at once).
        horizon: Actions in a chunk.
        steps: Optimiser steps.
        lr: Peak learning rate.
        seed: Seed of initialisation and batches.
        features: First and last (exclusive) column of the encoder's features that the head sees; null for all. Of a
            keypoint encoder the pose alone is safest: image places move with the camera. A planar head takes the last
            two, or with a puck four, for the pose.
        target: First and last (exclusive) of these columns that estimate the target's place, to be scored beside
            success; null where there is none.
        pose: Where the head learns what the pose is: from a simulator's labels in the demonstrations, which acts
            better, or from the encoder's estimates, for demonstrations that have none or a head that sees more.
    """
    place = Path(demonstrations)
    read = read_lerobot(place) if place.is_dir() else read_demonstrations(place)
    frozen = None if bundle is None else load_encoder(bundle)
    keys = ("state",) if frozen is None else ("image", "proprio")
    chunks = horizon if head == "chunk" else 1
    if frozen is not None and pose == "labels":
        table = columns(with_pose(read.demos), ("pose", "proprio"), horizon=chunks)
        seen = len(range(frozen.dim)[slice(*features)]) if features is not None else frozen.dim
        if table[FEATURES].shape[1] != seen + PROPRIO:
            raise ConfigError(
                f"the head would see {seen} features, the labels are {table[FEATURES].shape[1] - PROPRIO} numbers",
                key="features",
                remedy="name the columns of the pose, which come last, or --pose encoder",
            )
    else:
        table = columns(
            read.demos,
            keys,
            horizon=chunks,
            encode=None if frozen is None else frozen_features(frozen, _slice(features)),
        )
    seed_everything(seed)
    dim, actions = table[FEATURES].shape[1], read.demos[0].actions.shape[1]
    world = str(read.env_args["env_kwargs"]["world"])
    made: PolicyHead
    if head == "planar":
        made = planar_head(world, None if frozen is None else dim - PROPRIO)
    else:
        made = ChunkHead(dim, actions, horizon) if head == "chunk" else MLPHead(dim, actions)
    clone(made, table, Optim(steps, lr, 1e-4), seed=seed)
    save_policy(
        Path(output),
        made,
        keys,
        world=world,
        bundle=None if frozen is None else frozen.contract.sha256,
        features=None if features is None else (features[0], features[1]),
        target=None if target is None else (target[0], target[1]),
    )
    print(f"policy: {output}")
    return 0


def try_out(
    policy: str,
    target: str,
    output: str,
    bundle: str | None = None,
    source: str | None = None,
    starts: int = 50,
    workers: int = 0,
) -> int:
    """Success in closed loop: source and target look, held-out starts, edge of the workspace, delays.

    Args:
        policy: Folder of a trained policy.
        target: Look file of the target.
        output: Folder for results.json, table.md and filmstrips.
        bundle: Folder of the exported encoder that the policy was trained on.
        source: Look file of the source; null takes the plain look.
        starts: Starts of each condition, 50 at most.
        workers: Processes in which worlds live; 0 keeps them in this one.
    """
    head, about, frozen = open_policy(policy, bundle)
    encode = None if frozen is None else frozen_features(frozen, _slice(about.features))
    tried = HeadPolicy(head, about.keys, encode, _slice(about.target))
    folder, rows = Path(output), list[Row]()
    for condition in conditions(about.world, _look(source), _look(target), starts):
        found = evaluate(tried, condition, workers=workers, films=3 if condition.name in ("source", "target") else 0)
        rows += found.rows
        print(f"{condition.name}: {sum(row.success for row in found.rows)}/{starts}", flush=True)
        if found.films:
            filmstrip(found.films, folder / f"{condition.name}.png")
    write_atomic(folder / "results.json", json.dumps([asdict(row) for row in rows], indent=1))
    write_atomic(folder / "table.md", markdown(summarize(rows)))
    print(markdown(summarize(rows)))
    return 0


def _slice(ends: Sequence[int] | None) -> slice | None:
    return None if ends is None else slice(ends[0], ends[1])


def _look(path: str | None) -> Look:
    return Look() if path is None else Look.read(path)
