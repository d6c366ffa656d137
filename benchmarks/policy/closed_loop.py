"""From free labels to closed-loop success: ``python benchmarks/policy/closed_loop.py --world reach``.

Draws randomised frames, pretrains a keypoint encoder on them, exports it as a frozen bundle, clones 50 demonstrations
of the source look on the simulator's pose and the arm's own joints with three seeds, and tries the policies on the
bundle's pose from 50 starts under every condition. What is finished in the output folder is not made again. A look
named by ``--look`` is tried as well; none but the source and the randomised look is ever drawn for training, unless
``--align`` asks for a fifth of the steps more, with unlabeled pictures of the target look.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict
from pathlib import Path

from _common import KEYS, aligned, bundle, encoder, frames, look, opened, pose_columns

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import FEATURES, clone
from perceptransfer.policy import FrozenEncoder, MLPHead, PolicyHead
from perceptransfer.robot.closed_loop import Condition, Row, conditions, evaluate
from perceptransfer.robot.collect import collect
from perceptransfer.robot.frames import draw_frames, redraw
from perceptransfer.robot.panels import panel
from perceptransfer.robot.perception import look_shift, pose_errors
from perceptransfer.robot.planar import planar_head
from perceptransfer.robot.policies import HeadPolicy, frozen_features
from perceptransfer.robot.report import filmstrip, markdown, summarize
from perceptransfer.robot.training import columns, with_pose
from perceptransfer.robot.worlds import WORLDS

RANDOMIZED = "configs/looks/randomized.yaml"
NOISE = {"reach": 0.3, "push": 0.05}
"""Disturbance of the demonstrations: what the expert still copes with."""


def measure(world: str, found: Checkpoint, names: list[str]) -> dict[str, object]:
    """Perception in each look, and how far features move between the source look and it, before anything is frozen."""
    net = opened(found)
    starts = list(panel(world, "validation", 200).starts)
    pictures = {}
    for name in ["source", *names]:
        drawn_in = WORLDS[world](look(name))
        pictures[name] = redraw(drawn_in, starts)
        drawn_in.close()
    return {
        name: {
            **asdict(pose_errors(net, draw_frames(world, look(name), 300, seed=1))),
            "look_shift": look_shift(net, pictures["source"], pictures[name]),
        }
        for name in pictures
    }


def policies(given: argparse.Namespace, frozen: FrozenEncoder) -> list[HeadPolicy]:
    """One policy a seed, all cloned from the same demonstrations of the source look."""
    pose = pose_columns(given.world)
    alone = given.features == "pose"
    encode = frozen_features(frozen, pose if alone else None)
    world = WORLDS[given.world](look("source"))
    demos = collect(world, panel(given.world, "train", given.demonstrations).starts, noise=NOISE[given.world])
    world.close()
    if given.learn_from == "labels":
        table = columns(with_pose(demos), ("pose", "proprio"))
    else:
        table = columns(demos, KEYS, encode=encode)
    made = []
    for seed in given.seeds:
        seed_everything(seed)
        head: PolicyHead = MLPHead(table[FEATURES].shape[1], 2)
        if given.head == "planar":
            head = planar_head(given.world, pose.stop - pose.start if alone else frozen.dim)
        clone(head, table, Optim(1500, 1e-3, 1e-4), seed=seed)
        first = 0 if alone else pose.start
        made.append(HeadPolicy(head, KEYS, encode, target=slice(first, first + 2)))
    return made


def rounded(row: Row) -> dict[str, object]:
    """A row for a file that people read: lengths to 0.01 mm."""
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(row).items()}


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=WORLDS, default="reach")
    parser.add_argument("--output", type=Path, help="folder; results/WORLD by default")
    parser.add_argument("--frames", type=int, default=24000)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--demonstrations", type=int, default=50)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--look", nargs="*", default=[], help="further looks, by name or file")
    parser.add_argument("--features", choices=["pose", "all"], default="pose", help="what the head sees")
    parser.add_argument(
        "--learn-from", choices=["labels", "encoder"], default="labels", help="where the head learns the pose"
    )
    parser.add_argument("--head", choices=["planar", "mlp"], default="planar")
    parser.add_argument("--align", type=int, default=0, help="unlabeled pictures of the target look to align with")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.features == "all" and given.learn_from == "labels":
        parser.error("--features all needs --learn-from encoder")
    folder: Path = given.output or Path("results") / given.world
    folder.mkdir(parents=True, exist_ok=True)
    drawn = frames(folder, given.world, look("randomized"), given.frames, given.workers)
    found = encoder(folder, given.steps, drawn, RANDOMIZED)
    trained_on = RANDOMIZED
    if given.align:
        pictures = draw_frames(given.world, look("target"), given.align, seed=3).images
        folder, trained_on = folder / "aligned", f"{RANDOMIZED}, {given.align} unlabeled pictures of the target look"
        found = aligned(folder, found, drawn, pictures, given.steps // 5, trained_on)
    frozen = bundle(folder, given.world, found, trained_on)
    perception = measure(given.world, found, ["target", *given.look])
    print(json.dumps(perception, indent=1), flush=True)
    tried = conditions(given.world, look("source"), look("target"), given.starts)
    tried += [Condition(name, panel(given.world, "test", given.starts), look(name)) for name in given.look]
    rows: list[Row] = []
    table: list[dict[str, object]] = []
    for seed, policy in zip(given.seeds, policies(given, frozen), strict=True):
        for condition in tried:
            made = evaluate(policy, condition, workers=given.workers, films=2 if seed == given.seeds[0] else 0)
            rows += made.rows
            table += [{"seed": seed, **rounded(row)} for row in made.rows]
            print(f"seed {seed}, {condition.name}: {sum(row.success for row in made.rows)}/{given.starts}", flush=True)
            if made.films and condition.name in ("source", "target", *given.look):
                filmstrip(made.films, folder / f"{Path(condition.name).stem}.png")
    frozen.verify()
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    report = {"perception": perception, "bundle": frozen.contract.sha256}
    (folder / "results.json").write_text(json.dumps(report, indent=1))
    (folder / "table.md").write_text(markdown(summarize(rows)))
    print(markdown(summarize(rows)))


if __name__ == "__main__":
    main()
