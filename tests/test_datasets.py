"""Data cards are there, and the published hashes are those of the images."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptransfer.data import Manifest, ScannedDigits

DATASETS = sorted(path for path in (Path(__file__).parents[1] / "datasets").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", DATASETS, ids=lambda folder: folder.name)
def test_every_data_set_has_a_card_with_origin_and_licence(folder: Path) -> None:
    text = (folder / "card.md").read_text()
    assert "licence" in text and "Known limits" in text


def test_published_hashes_and_split_of_the_scanned_digits() -> None:
    manifest = Manifest.read(DATASETS[0].parent / "digits" / "manifest.yaml")
    images = ScannedDigits().load((32, 32))
    expected = {r.name: (r.sha256, images.classes[r.label or 0], r.split) for r in images.records}
    assert {name: (f.sha256, f.label, f.split) for name, f in manifest.files.items()} == expected
    splits = [file.split for file in manifest.files.values()]
    assert (splits.count("train"), splits.count("test")) == (1000, 797)


def test_datasets_is_no_package() -> None:
    # With an __init__.py this folder would shadow an installed `datasets`.
    assert not list(DATASETS[0].parent.rglob("__init__.py"))
