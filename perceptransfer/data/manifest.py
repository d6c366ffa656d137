"""Manifests: which files a data set consists of, with hashes, origin and licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import sha256_file, write_atomic
from perceptransfer.data.image_set import ImageSet

SHOWN = 5  # files named in an error before "and n more"


@dataclass(frozen=True)
class ManifestFile:
    """One file by its relative name."""

    sha256: str
    label: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The files of a data set; ``origin`` and ``licence`` are free text."""

    files: Mapping[str, ManifestFile]
    origin: str
    licence: str

    @classmethod
    def of(cls, images: ImageSet, origin: str, licence: str) -> Manifest:
        """Describe a loaded source."""
        files = {
            record.name: ManifestFile(
                sha256=record.sha256,
                label=None if record.label is None else images.classes[record.label],
                group=record.group,
                split=record.split,
            )
            for record in images.records
        }
        return cls(files, origin, licence)

    def write(self, path: Path) -> None:
        """Write JSON or YAML, by the file's ending, with sorted names; empty columns are left out.

        Raises:
            OutputError: the folder cannot be written.
        """
        rows = {
            name: {key: value for key, value in asdict(self.files[name]).items() if value is not None}
            for name in sorted(self.files)
        }
        data = {"origin": self.origin, "licence": self.licence, "files": rows}
        if path.suffix.lower() == ".json":
            write_atomic(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        else:
            write_atomic(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what `write` wrote.

        Raises:
            DataError: missing, or not a manifest.
        """
        try:
            data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
            files = {str(name): ManifestFile(**row) for name, row in data["files"].items()}
            return cls(files, str(data["origin"]), str(data["licence"]))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"not a readable manifest ({error})", where=path, key="manifest") from error

    def verify(self, root: Path) -> None:
        """Hash the files below ``root`` and compare.

        Raises:
            DataError: files that are missing or changed, named.
        """
        present = {name: sha256_file(root / name) for name in self.files if (root / name).is_file()}
        self.check(present, root)

    def check(self, hashes: Mapping[str, str], root: Path) -> None:
        """Compare with hashes by relative name; files that the manifest does not know are refused as well.

        Raises:
            DataError: files that are missing, changed or unknown, named.
        """
        found = {
            "missing": sorted(set(self.files) - set(hashes)),
            "changed": sorted(
                name for name in hashes if name in self.files and self.files[name].sha256 != hashes[name]
            ),
            "not in the manifest": sorted(set(hashes) - set(self.files)),
        }
        problems = [f"{len(names)} {kind}: {_some(names)}" for kind, names in found.items() if names]
        if problems:
            raise DataError(
                "does not match its manifest: " + "; ".join(problems),
                where=root,
                key="manifest",
                remedy="restore the files, or write a new manifest if the change is meant",
            )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
