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

from _common import KEYS, POSE, WEIGHTS, look, pretrained

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import instantiate
from perceptransfer.core.seeding import seed_everything
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import clone
from perceptransfer.models import KeypointEncoder
from perceptransfer.policy import MLPHead
from perceptransfer.robot.closed_loop import Condition, Row, conditions, evaluate
from perceptransfer.robot.collect import collect
from perceptransfer.robot.frames import draw_frames, redraw
from perceptransfer.robot.panels import panel
from perceptransfer.robot.perception import look_shift, pose_errors
from perceptransfer.robot.policies import HeadPolicy, frozen_features
from perceptransfer.robot.report import filmstrip, markdown, summarize
from perceptransfer.robot.training import columns
from perceptransfer.robot.worlds import Reach


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
    budget = {"count": given.frames, "steps": given.steps, "workers": given.workers}
    frozen = pretrained(given.output, look("randomized"), "configs/looks/randomized.yaml", **budget)
    alone = given.features == "pose"
    encode = frozen_features(frozen, POSE if alone else None)
    perception = measure(Checkpoint.load(given.output / WEIGHTS), ["target", *given.look])
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
