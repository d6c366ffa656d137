"""The quantised format with what it costs: feature error always, success where a policy can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from perceptransfer.deploy.graph import Deployed
from perceptransfer.deploy.parity import features
from perceptransfer.deploy.quantize import write_int8
from perceptransfer.deploy.writing import seal
from perceptransfer.policy.arrays import relative_error
from perceptransfer.policy.bundle import load_encoder
from perceptransfer.policy.contract import FORMATS, GOLDEN, Contract
from perceptransfer.policy.frozen import Encoded
from perceptransfer.policy.tensor_file import unpack, write_arrays

Judge = Callable[[Path, str], Mapping[str, Any]]


def add_int8(work: Path, contract: Contract, graph: Deployed, real: Tensor, judge: Judge | None = None) -> Contract:
    """Quantise the bundle's ONNX graph, calibrated on every second real image, measured on the others.

    ``judge`` is called with the folder and the backends ``onnx`` and ``int8``; see `export`.
    """
    write_int8(work / FORMATS["onnx"], work / FORMATS["int8"], real[::2])
    contract = seal(work, contract)
    quantized, held_out = load_encoder(work, "int8"), real[1::2]
    report: dict[str, Any] = {
        "feature_error": feature_error(quantized(held_out), *features(graph, held_out)),
        "calibrated_on": len(real[::2]),
        "measured_on": len(held_out),
    }
    golden = unpack(contract.read(work, GOLDEN), "torch", work / GOLDEN)
    found = quantized(golden["images"])
    write_arrays(work / GOLDEN, {**golden, "pooled_int8": found.pooled, "spatial_int8": found.spatial})
    # CPUs add 8-bit products in different ways; elsewhere it may lie as far from here as it lies from the model.
    room = max(relative_error(found.pooled, golden["pooled"]), relative_error(found.spatial, golden["spatial"]))
    contract = seal(work, replace(contract, int8=report, tolerance={**contract.tolerance, FORMATS["int8"]: room}))
    if judge is not None:
        report["judged"] = {backend: dict(judge(work, backend)) for backend in ("onnx", "int8")}
        contract = seal(work, replace(contract, int8=report))
    return contract


def feature_error(found: Encoded, pooled: Tensor, spatial: Tensor) -> dict[str, float]:
    """How far quantised features lie from the model's.

    ``pooled`` and ``spatial``: length of the difference over the length of the features, mean over images. ``cosine``:
    smallest cosine between two pooled vectors.
    """
    return {
        "pooled": _distance(found.pooled, pooled),
        "spatial": _distance(found.spatial, spatial),
        "cosine": float(F.cosine_similarity(found.pooled, pooled).min()),
    }


def _distance(found: Tensor, expected: Tensor) -> float:
    lengths = torch.linalg.vector_norm(expected.flatten(1), dim=1).clamp(min=1e-12)
    return float((torch.linalg.vector_norm((found - expected).flatten(1), dim=1) / lengths).mean())
