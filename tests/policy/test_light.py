"""The robot's half runs with torch alone, or with onnxruntime and NumPy alone.

Real environments with nothing else in them: ``python benchmarks/policy/bare_runtime.py BUNDLE``. Here the imports of
everything else are blocked in a subprocess.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import perceptransfer.policy
from tests.bundles import shared_bundle

BLOCK = """
import sys

import importlib.util

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

find = importlib.util.find_spec  # by which libraries look for what is installed: it answers None for what is not
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in {blocked!r} else find(name, *rest)
sys.meta_path.insert(0, Block())
"""
ALWAYS = {"timm", "lightning", "albumentations", "jsonargparse", "torchvision", "safetensors", "yaml", "PIL", "sklearn"}
USE = """
import sys
from perceptransfer.policy import load_encoder, verify_bundle
checks = verify_bundle(sys.argv[1])
assert [check.backend for check in checks if not check.skipped] == {ran!r}, checks
encoder = load_encoder(sys.argv[1])
images = encoder.transform({images})
features = encoder(images)
encoder.verify()
assert tuple(features.pooled.shape) == (1, encoder.dim)
from perceptransfer.policy import FeatureCache
assert FeatureCache(sys.argv[2], encoder)(images).pooled.shape == (1, encoder.dim)
"""


def run(program: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_with_torch_and_nothing_else(tmp_path: Path) -> None:
    blocked = {*ALWAYS, "numpy", "onnxruntime", "onnx", "onnxscript"}
    images = "__import__('torch').zeros(32, 32, 3, dtype=__import__('torch').uint8)"
    program = BLOCK.format(blocked=blocked) + "import torch\n" + USE.format(ran=["torch"], images=images)
    run(program, str(shared_bundle("small_cnn")), str(tmp_path))


def test_with_onnxruntime_and_numpy_and_nothing_else(tmp_path: Path) -> None:
    images = "__import__('numpy').zeros((32, 32, 3), dtype='uint8')"
    program = BLOCK.format(blocked={*ALWAYS, "torch", "onnx"}) + USE.format(ran=["onnx", "int8"], images=images)
    run(program, str(shared_bundle("small_cnn")), str(tmp_path))


def test_a_blocked_import_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="blocked: timm"):
        run(BLOCK.format(blocked=ALWAYS) + "import timm")


def test_importing_policy_loads_neither_torch_nor_anything_heavy() -> None:
    heavy = {"torch", "numpy", "lightning", "timm", "albumentations", "jsonargparse", "onnxruntime"}
    run(f"import sys, perceptransfer.policy; assert not {heavy!r} & set(sys.modules)")


def test_using_all_of_policy_loads_no_training_library() -> None:
    heavy = {"lightning", "timm", "albumentations", "jsonargparse", "torchvision", "yaml", "safetensors"}
    names = "import perceptransfer.policy as policy; [getattr(policy, name) for name in policy.__all__]"
    adapters = "".join(
        f"import perceptransfer.policy.adapters.{path.stem}\n"
        for path in sorted((Path(perceptransfer.policy.__file__).parent / "adapters").glob("[a-z]*.py"))
    )
    run(f"import sys\n{names}\n{adapters}assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)")


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        perceptransfer.policy.lode  # noqa: B018 - the access is the test
    assert set(perceptransfer.policy.__all__) == set(dir(perceptransfer.policy))
