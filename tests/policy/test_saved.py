"""A policy in a folder comes back as it was, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from perceptransfer.core.errors import BundleError
from perceptransfer.policy import ChunkHead, MLPHead, PlanarHead, PolicyHead, load_policy, save_policy

KINDS = {
    "mlp": lambda: MLPHead(6, 2, (8, 4)),
    "chunk": lambda: ChunkHead(6, 2, 3, (8,)),
    "planar": lambda: PlanarHead(6, (4, 0), 2, (0.3, 0.1), hidden=(8,)),
}


def made(folder: Path, kind: str = "mlp") -> PolicyHead:
    torch.manual_seed(0)
    head: PolicyHead = KINDS[kind]()
    actions = torch.randn(20, 3, 2) if kind == "chunk" else torch.randn(20, 2)
    head.fit_normalizers(torch.randn(20, 6) * 3, actions)
    save_policy(
        folder, head.eval(), ("image", "proprio"), world="reach", bundle="a" * 64, features=(1, 6), target=(3, 5)
    )
    return head


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_acts_the_same(tmp_path: Path, kind: str) -> None:
    head, seen = made(tmp_path, kind), torch.randn(4, 6)
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
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 3}))


def altered(folder: Path) -> None:
    path = folder / "head.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("harm", "file", "said"),
    [
        (edited, "policy.json", "edited"),
        (newer, "policy.json", "version 3"),
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
