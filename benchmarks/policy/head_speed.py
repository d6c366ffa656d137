"""How much faster a head trains on cached features: ``python benchmarks/policy/head_speed.py``.

The same demonstrations, head, batch size and number of steps, once on the features of a frozen encoder, computed once
and written to a cache, and once end to end through the encoder. The two take turns; the ratio is the median over
rounds. What the cache costs to fill is counted in full against one training. Weights are random: they do not change
what is computed. Writes ``head_speed.json`` into ``benchmarks/policy/results``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of
from perceptransfer.deploy import export
from perceptransfer.learning import Optim
from perceptransfer.learning.behaviour_cloning import FEATURES, clone
from perceptransfer.models import Encoder
from perceptransfer.policy import MLPHead, load_encoder
from perceptransfer.robot.collect import collect
from perceptransfer.robot.demonstrations import Demonstration
from perceptransfer.robot.panels import panel
from perceptransfer.robot.policies import frozen_features
from perceptransfer.robot.training import columns
from perceptransfer.robot.worlds import Reach

RESULTS = Path(__file__).parent / "results"
SIZE, KEYS = (96, 96), ("image", "proprio")
ENCODERS: dict[str, dict[str, Any]] = {
    "small_cnn": {"widths": [24, 48, 96, 128], "dim": 128, "downsample": "stride", "pool": "avg"},
    "resnet18": {},
}


class Pooled(nn.Module):
    """The encoder as `BehaviourCloningModule` takes it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features."""
        return self.encoder(images).pooled


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def row(name: str, demos: list[Demonstration], given: argparse.Namespace) -> dict[str, Any]:
    """Both ways with one encoder, step for step."""
    torch.manual_seed(0)
    net = Encoder(name, options=ENCODERS[name])
    state = {f"encoder.{key}": value for key, value in net.state_dict().items()}
    few, rates = min(given.end_to_end_steps, given.steps), []
    with tempfile.TemporaryDirectory() as folder:
        export(Checkpoint({"encoder": config_of(net), "tasks": []}, state), Path(folder) / "bundle", SIZE)
        encode = frozen_features(load_encoder(Path(folder) / "bundle"))
        filled: list[dict[str, Tensor]] = []
        for _ in range(given.rounds):
            filling = seconds(lambda: filled.append(columns(demos, KEYS, encode=encode)))
            dim = filled[0][FEATURES].shape[1]
            head = MLPHead(dim, 2)
            cached = seconds(lambda head=head: clone(head, filled[0], Optim(given.steps, 1e-3), seed=0))
            pictures, whole = columns(demos, KEYS), MLPHead(dim, 2)
            end_to_end = seconds(
                lambda: clone(whole, pictures, Optim(few, 1e-3), seed=0, encoder=Pooled(net))  # noqa: B023
            )
            rates.append((filling, cached, end_to_end * given.steps / few))
    filling, cached, end_to_end = np.median(rates, axis=0)
    ratio = np.median([e / (f + c) for f, c, e in rates])
    found = {"filling_s": filling, "head_s": cached, "end_to_end_s": end_to_end, "ratio": ratio}
    return {"encoder": name, **{key: round(float(value), 2) for key, value in found.items()}}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demonstrations", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1500, help="steps of one training")
    parser.add_argument("--end-to-end-steps", type=int, default=10, help="steps timed end to end; the rest is scaled")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "head_speed.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    world = Reach(size=SIZE[0])
    demos = collect(world, panel("reach", "train", given.demonstrations).starts)
    world.close()
    found = [row(name, demos, given) for name in ENCODERS]
    ticks = sum(map(len, demos))
    result = {"demonstrations": len(demos), "ticks": ticks, "steps": given.steps, "batch": 256, "rows": found}
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print("| encoder | filling the cache, s | head on the cache, s | end to end, s | ratio |\n|---|---|---|---|---|")
    for one in found:
        print(f"| {one['encoder']} | {one['filling_s']} | {one['head_s']} | {one['end_to_end_s']} | {one['ratio']} |")


if __name__ == "__main__":
    main()
