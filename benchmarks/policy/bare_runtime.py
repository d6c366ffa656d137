"""Run a bundle where nothing but its runtime is installed: ``python benchmarks/policy/bare_runtime.py BUNDLE``.

Makes two new environments, one with torch and nothing else, one with onnxruntime and NumPy, puts this package beside
them without its dependencies, and verifies the bundle there. Downloads about 3 GB unless pip has them cached.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
PROGRAM = """
import importlib.util as util, json, sys
from perceptransfer.policy import load_encoder, verify_bundle
checks = verify_bundle(sys.argv[1])
encoder = load_encoder(sys.argv[1])
spec = encoder.transform
if encoder.backend == "torch":
    import torch
    images = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
else:
    import numpy
    images = numpy.zeros((2, spec.height, spec.width, 3), dtype=numpy.uint8)
features = encoder(images)
encoder.verify()
assert tuple(features.pooled.shape) == (2, encoder.dim)
absent = ["timm", "lightning", "albumentations", "jsonargparse", "torchvision", "safetensors", "yaml", "PIL"]
assert not any(util.find_spec(name) for name in absent)
print(json.dumps({
    "installed": [name for name in ("torch", "numpy", "onnxruntime") if util.find_spec(name)],
    "ran": {check.backend: check.error for check in checks if not check.skipped},
    "skipped": {check.backend: check.skipped for check in checks if check.skipped},
}))
"""


def run_bare(packages: list[str], bundle: Path, folder: Path) -> str:
    """The verification's output in a new environment with ``packages`` alone."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONWARNINGS": "ignore"}
    command = [python, "-c", PROGRAM, str(bundle)]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    """Print one line for each environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder that perceptransfer export wrote")
    bundle = parser.parse_args().bundle.resolve()
    for packages in (["onnxruntime", "numpy"], ["torch"]):
        with tempfile.TemporaryDirectory() as folder:
            print(run_bare(packages, bundle, Path(folder)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
