"""From free labels to closed-loop success: ``python benchmarks/policy/reach.py``.

Draws randomised frames, pretrains a keypoint encoder on them, exports it as a frozen bundle, clones 50 demonstrations
of the source look on the bundle's pose and the arm's own joints with three seeds, and tries the policies
from 50 starts under every condition. What is finished in the output folder is not made again. A look named by
``--look`` is tried as well; none but the source and the randomised look is ever drawn for training.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import instantiate
from perceptransfer.core.seeding import seed_everything
from perceptransfer.deploy import export
from perceptransfer.learning import Optim, Runtime
from perceptransfer.learning.behaviour_cloning import clone
from perceptransfer.models import KeypointEncoder
from perceptransfer.policy import MLPHead, load
from perceptransfer.robot.closed_loop import Condition, Row, conditions, evaluate
from perceptransfer.robot.collect import collect
from perceptransfer.robot.frames import Frames, draw_frames, redraw
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import panel
from perceptransfer.robot.perception import look_shift, pose_checkpoint, pose_errors, train_pose_encoder
from perceptransfer.robot.policies import HeadPolicy, frozen_features
from perceptransfer.robot.report import filmstrip, markdown, summarize
from perceptransfer.robot.training import columns
from perceptransfer.robot.worlds import Reach

LOOKS = Path(__file__).parents[2] / "configs" / "looks"
KEYS = ("image", "proprio")
POSE = slice(8, 10)  # what the head sees of ten features: four keypoints come before the target's place


def look(name: str) -> Look:
    """A shipped look by name, or a file."""
    return Look.read(LOOKS / f"{name}.yaml" if "/" not in name else name)


def frames(folder: Path, count: int, workers: int) -> Frames:
    """Randomised frames, kept in the folder."""
    path = folder / "frames.npz"
    if not path.exists():
        drawn = draw_frames("reach", look("randomized"), count, workers=workers)
        np.savez(path, images=drawn.images, keypoints=drawn.keypoints, pose=drawn.pose)
    with np.load(path) as stored:
        return Frames(**stored)


def encoder(folder: Path, steps: int, drawn: Frames) -> Checkpoint:
    """The pretrained encoder, kept in the folder."""
    path = folder / "encoder.safetensors"
    if not path.exists():
        seed_everything(0)
        options = {"widths": [24, 48, 96, 128], "dim": 8, "downsample": "stride", "pool": "avg"}
        net = KeypointEncoder("small_cnn", options=options, keypoints=4, pose=2, stride=4, width=48)
        net = net.to(memory_format=torch.channels_last)

        def said(stage: str, step: int, of: int) -> None:
            if step % max(1, of // 20) == 0:
                print(f"{stage}: {step}/{of}", flush=True)

        net = train_pose_encoder(
            net, drawn, Optim(steps, 2e-3, 1e-4, warmup=0.05), runtime=Runtime("cpu", progress=said)
        )
        pose_checkpoint(net, {"trained_on": "configs/looks/randomized.yaml", "frames": len(drawn)}).save(path)
    return Checkpoint.load(path)


def measure(found: Checkpoint, names: list[str]) -> dict[str, object]:
    """Perception in each look, and how far features move between the source look and it, before anything is frozen."""
    net: KeypointEncoder = instantiate(found.model["encoder"])
    net.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in found.state.items()})
    net.eval()
    starts = list(panel("reach", "validation", 200).starts)
    pictures = {}
    for name in ["source", *names]:
        world = Reach(look(name))
        pictures[name] = redraw(world, starts)
        world.close()
    return {
        name: {
            **asdict(pose_errors(net, draw_frames("reach", look(name), 300, seed=1))),
            "look_shift": look_shift(net, pictures["source"], pictures[name]),
        }
        for name in pictures
    }


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/reach"))
    parser.add_argument("--frames", type=int, default=24000)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--demonstrations", type=int, default=50)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--look", nargs="*", default=[], help="further looks, by name or file")
    parser.add_argument("--features", choices=["pose", "all"], default="pose", help="what the head sees")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    found = encoder(given.output, given.steps, frames(given.output, given.frames, given.workers))
    bundle = given.output / "bundle"
    if not bundle.exists():
        pictures = draw_frames("reach", look("source"), 8, seed=2).images
        export(found, bundle, (96, 96), images=pictures, trained_on={"domain": "configs/looks/randomized.yaml"})
    frozen = load(bundle, "torch")
    alone = given.features == "pose"
    encode = frozen_features(frozen, POSE if alone else None)
    perception = measure(found, ["target", *given.look])
    print(json.dumps(perception, indent=1), flush=True)
    world = Reach(look("source"))
    demos = collect(world, panel("reach", "train", given.demonstrations).starts)
    world.close()
    table = columns(demos, KEYS, encode=encode)
    tried = conditions("reach", look("source"), look("target"), given.starts)
    tried += [Condition(name, panel("reach", "test", given.starts), look(name)) for name in given.look]
    rows: list[Row] = []
    for seed in given.seeds:
        seed_everything(seed)
        head = MLPHead(table["features"].shape[1], 2)
        clone(head, table, Optim(1500, 1e-3, 1e-4), seed=seed)
        policy = HeadPolicy(head, KEYS, encode, target=slice(0, 2) if alone else POSE)
        for condition in tried:
            made = evaluate(policy, condition, workers=given.workers, films=2 if seed == given.seeds[0] else 0)
            rows += made.rows
            print(f"seed {seed}, {condition.name}: {sum(row.success for row in made.rows)}/{given.starts}", flush=True)
            if made.films and condition.name in ("source", "target", *given.look):
                filmstrip(made.films, given.output / f"{Path(condition.name).stem}.png")
    frozen.verify()
    report = {"perception": perception, "rows": [asdict(row) for row in rows], "bundle": frozen.contract.sha256}
    (given.output / "results.json").write_text(json.dumps(report, indent=1))
    (given.output / "table.md").write_text(markdown(summarize(rows)))
    print(markdown(summarize(rows)))


if __name__ == "__main__":
    main()
