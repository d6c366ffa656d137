"""Manifests are written, read back, and notice every change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from perceptransfer.core.errors import DataError
from perceptransfer.data import Folder, Manifest


@pytest.mark.parametrize("name", ["manifest.yaml", "manifest.json"])
def test_round_trip(name: str, real: Path, tmp_path: Path) -> None:
    images = Folder(str(real)).load((8, 8))
    manifest = Manifest.of(images, "made here", "CC0-1.0")
    manifest.write(tmp_path / name)
    assert Manifest.read(tmp_path / name) == manifest
    entry = manifest.files["train/b/003.png"]
    assert (entry.label, entry.split, entry.group) == ("b", "train", None)
    assert entry.sha256 == hashlib.sha256((real / "train/b/003.png").read_bytes()).hexdigest()
    manifest.verify(real)
    Folder(str(real), manifest=str(tmp_path / name)).load((8, 8))


def test_changed_missing_and_new_files_are_named(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    Manifest.of(Folder(str(real)).load((8, 8)), "", "").write(path)
    (real / "train/a/000.png").write_bytes((real / "train/a/001.png").read_bytes())
    (real / "train/a/002.png").rename(real / "train/a/new.png")
    expected = r"1 missing: train/a/002.png; 1 changed: train/a/000.png; 1 not in the manifest: train/a/new.png"
    with pytest.raises(DataError, match=expected):
        Folder(str(real), manifest=str(path)).load((8, 8))
    with pytest.raises(DataError, match=r"1 missing: train/a/002.png; 1 changed: train/a/000.png"):
        Manifest.read(path).verify(real)
    for file in real.rglob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match=r"48 missing: .* and 43 more"):
        Manifest.read(path).verify(real)


@pytest.mark.parametrize("content", ["", "[]", "files: 3", "files: {x: {colour: 3}}", "{", "files: {}"])
def test_what_is_no_manifest(content: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(content)
    with pytest.raises(DataError, match=r"m\.yaml: not a readable manifest"):
        Manifest.read(tmp_path / "m.yaml")


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml"):
        Manifest.read(tmp_path / "none.yaml")
