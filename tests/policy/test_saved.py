"""A policy in a folder comes back as it was, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from perceptransfer.core.errors import BundleError
from perceptransfer.policy import ChunkHead, MLPHead, load_policy, save_policy


def made(folder: Path, kind: str = "mlp") -> MLPHead | ChunkHead:
    torch.manual_seed(0)
    head = MLPHead(5, 2, (8, 4)) if kind == "mlp" else ChunkHead(5, 2, 3, (8,))
    actions = torch.randn(20, 2) if kind == "mlp" else torch.randn(20, 3, 2)
    head.fit_normalizers(torch.randn(20, 5) * 3, actions)
    save_policy(
        folder, head.eval(), ("image", "proprio"), world="reach", bundle="a" * 64, features=(1, 6), target=(3, 5)
    )
    return head


@pytest.mark.parametrize("kind", ["mlp", "chunk"])
def test_what_comes_back_acts_the_same(tmp_path: Path, kind: str) -> None:
    head, seen = made(tmp_path, kind), torch.randn(4, 5)
    again, about = load_policy(tmp_path)
    assert torch.equal(again(seen), head(seen)) and not again.training
    assert (
        about.keys == ("image", "proprio")
        and about.target == (3, 5)
        and about.features == (1, 6)
        and about.bundle == "a" * 64
    )


def edited(folder: Path) -> None:
    path = folder / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "bundle": None}))


def newer(folder: Path) -> None:
    path = folder / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))


def altered(folder: Path) -> None:
    path = folder / "head.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("harm", "file", "said"),
    [
        (edited, "policy.json", "edited"),
        (newer, "policy.json", "version 2"),
        (altered, "head.safetensors", "altered"),
        (lambda folder: (folder / "head.safetensors").unlink(), "head.safetensors", "No such file"),
        (lambda folder: (folder / "policy.json").write_text("{}"), "policy.json", "not a saved policy"),
    ],
)
def test_a_spoilt_folder_is_refused(tmp_path: Path, harm: Callable[[Path], None], file: str, said: str) -> None:
    made(tmp_path)
    harm(tmp_path)
    with pytest.raises(BundleError, match=said) as caught:
        load_policy(tmp_path)
    assert file in str(caught.value) and "remedy" in str(caught.value)
