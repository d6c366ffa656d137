"""What a result came from, as plain data."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from perceptransfer.core.config import Configurable, config_of, identity_of
from perceptransfer.data import TransferData
from perceptransfer.learning import computes_bfloat16

LIBRARIES = ("perceptransfer", "torch", "torchvision", "timm", "lightning", "albumentations", "peft", "numpy")


@cache
def machine() -> dict[str, Any]:
    """Hardware and library versions."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "bfloat16": computes_bfloat16(),
        "gpus": gpus,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "run from a source folder, not installed"


def run_provenance(pipeline: Configurable, data: TransferData, seed: int | None) -> dict[str, Any]:
    """Configuration, code identity, data description with fingerprints and randomised ranges, seed and machine."""
    return {
        "pipeline": config_of(pipeline),
        "pipeline_identity": identity_of(pipeline),
        "data": config_of(data),
        "data_description": data.describe(),
        "seed": seed,
        "machine": machine(),
    }
