"""Latency of every format beside eager torch: ``python benchmarks/policy/latency.py``.

One image at a time, one thread, CPU time of the process. The formats take turns, round by round, so that a busy machine
slows all of them alike; the ratio is the median over rounds of format / eager in the same round. Weights are random:
they do not change what is computed. A square float32 matmul takes turns too: the row "limit" is the time that the
model's multiplications and additions would take at its rate, which no exact float32 format can be expected to beat by
much. Writes ``latency.json`` and ``latency.md`` into ``benchmarks/policy/results``.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import config_of
from perceptransfer.deploy import export
from perceptransfer.deploy.graph import Deployed
from perceptransfer.models import Encoder
from perceptransfer.policy import load_encoder, verify_bundle

RESULTS = Path(__file__).parent / "results"
SIZE = (128, 128)
MODELS: dict[str, dict[str, Any]] = {"resnet18": {}, "vit_small_patch16_224": {"img_size": SIZE[0]}}
SQUARE = 1024  # side of the matmul that measures the machine
NAMES = {
    "limit": "limit: its arithmetic as one matmul",
    "eager": "eager torch",
    "torch": "encoder.pt2",
    "onnx": "encoder.onnx",
    "int8": "encoder.int8.onnx",
}

NOTE = (
    "Feature error: largest difference over largest feature, worst image. Of int8: length of the difference over that "
    "of the features, mean over images that did not calibrate it; random weights."
)


def randomised(name: str) -> Encoder:
    """An untrained encoder whose batch norms do not hide the residual branches."""
    torch.manual_seed(0)
    encoder = Encoder(name, options=MODELS[name])
    for layer in encoder.modules():
        if isinstance(layer, _BatchNorm | nn.LayerNorm):
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.normal_(0, 0.1)
    return encoder.eval().requires_grad_(False)


def measure(calls: dict[str, Callable[[], Any]], rounds: int, warmup: int = 10) -> dict[str, list[float]]:
    """CPU milliseconds of every call in every round."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + warmup):
        for name, call in calls.items():
            started = time.process_time_ns()
            call()
            if i >= warmup:
                spent[name].append((time.process_time_ns() - started) / 1e6)
    return spent


@torch.no_grad()
def row(name: str, rounds: int) -> dict[str, Any]:
    """Export one model and measure its formats."""
    encoder = randomised(name)
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    graph = Deployed(encoder, SIZE, SIZE)
    image = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        contract = export(Checkpoint({"encoder": config_of(encoder), "tasks": []}, state), bundle, SIZE, int8=True)
        verify_bundle(bundle)
        program = load_encoder(bundle, "torch")
        sessions = {backend: load_encoder(bundle, backend, threads=1) for backend in ("onnx", "int8")}
        calls: dict[str, Callable[[], Any]] = {"eager": lambda: graph(image), "torch": lambda: program(image)}
        for backend, session in sessions.items():
            calls[backend] = lambda session=session: session(image.numpy())
        one, other = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE)
        calls["limit"] = lambda: torch.mm(one, other)
        with FlopCounterMode(display=False) as counter:
            graph(image)
        spent = measure(calls, rounds)
    share = counter.get_total_flops() / (2 * SQUARE**3)
    spent["limit"] = [share * value for value in spent["limit"]]
    eager = np.array(spent["eager"])
    formats = {
        key: {
            "median_ms": float(np.median(values)),
            "p99_ms": float(np.quantile(values, 0.99)),
            "ratio_to_eager": float(np.median(np.array(values) / eager)),
        }
        for key, values in spent.items()
    }
    return {"model": name, "size": SIZE, "formats": formats, "parity": contract.parity, "int8": contract.int8}


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"CPU milliseconds an image ({SIZE[0]} px, batch 1, one thread, {result['rounds']} interleaved rounds; "
        f"{result['machine']}; torch {result['versions']['torch']}, onnxruntime {result['versions']['onnxruntime']}).",
        "",
        "| model | format | median | p99 | ratio to eager | feature error |",
        "|---|---|---|---|---|---|",
    ]
    for entry in result["rows"]:
        for key, found in entry["formats"].items():
            parity = entry["parity"].get(NAMES[key])
            error = f"{max(parity.values()):.1e}" if parity else "–"
            if key == "int8":
                error = f"{100 * entry['int8']['feature_error']['pooled']:.1f} %"
            ratio = "1" if key == "eager" else f"{found['ratio_to_eager']:.2f}"
            times = f"{found['median_ms']:.1f} | {found['p99_ms']:.1f}"
            lines.append(f"| {entry['model']} | {NAMES[key]} | {times} | {ratio} | {error} |")
    return "\n".join([*lines, "", NOTE, ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row(name, arguments.rounds) for name in MODELS]
    import onnxruntime

    result = {
        "rounds": arguments.rounds,
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        "rows": rows,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "latency.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.output / "latency.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
