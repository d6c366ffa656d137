"""Checkpoints by content key."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import OutputError, StoreError
from perceptransfer.core.files import output_errors, sha256_file, write_atomic

CHECKPOINT, ENTRY = "checkpoint.safetensors", "entry.json"


@dataclass(frozen=True)
class Entry:
    """A stored stage: its checkpoint, the stage's report, and what it came from."""

    key: str
    checkpoint: Checkpoint
    report: dict[str, Any]
    provenance: dict[str, Any]


class Store:
    """Folder of finished stages.

    An entry is written beside its place and renamed into it, so a key exists only when its entry is complete. The
    checkpoint's hash is checked on every read.
    """

    def __init__(self, root: Path) -> None:
        """Use or create the folder.

        Raises:
            OutputError: it cannot be created or written.
        """
        self.root = Path(root)
        with output_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        if not os.access(self.root, os.W_OK):
            raise OutputError("cannot write here", where=self.root, remedy="choose a writable folder")

    def path(self, key: str) -> Path:
        """Folder of a key, whether it exists or not."""
        return self.root / key[:2] / key

    def __contains__(self, key: str) -> bool:
        return (self.path(key) / ENTRY).is_file()

    def keys(self) -> Iterator[str]:
        """Keys of all complete entries, in order."""
        return (entry.parent.name for entry in sorted(self.root.glob(f"??/*/{ENTRY}")))

    def get(self, key: str) -> Entry:
        """Read an entry.

        Raises:
            StoreError: absent or damaged.
        """
        folder = self.path(key)
        try:
            entry = json.loads((folder / ENTRY).read_text())
            found = sha256_file(folder / CHECKPOINT)
            expected = entry["sha256"]
            report, provenance = entry["report"], entry["provenance"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"entry cannot be read ({error})", where=folder, remedy=f"delete {folder}") from error
        if found != expected or entry.get("key") != key:
            raise StoreError("entry is damaged: hash or key differs", where=folder, remedy=f"delete {folder}")
        return Entry(key, Checkpoint.load(folder / CHECKPOINT), report, provenance)

    def find(self, key: str) -> Entry | None:
        """Entry of a key, or ``None``; a damaged one is removed, so that it is made again."""
        if not self.path(key).exists():
            return None
        try:
            return self.get(key)
        except StoreError:
            with output_errors(self.path(key)):
                shutil.rmtree(self.path(key))
            return None

    def put(self, key: str, checkpoint: Checkpoint, report: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Write an entry; when another process has written the key meanwhile, that one stays.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        final = self.path(key)
        with output_errors(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=self.root, prefix=".writing-"))
        try:
            checkpoint.save(work / CHECKPOINT)
            entry = {
                "key": key,
                "sha256": sha256_file(work / CHECKPOINT),
                "report": dict(report),
                "provenance": dict(provenance),
            }
            write_atomic(work / ENTRY, json.dumps(entry, indent=1, sort_keys=True))
            with output_errors(final):
                if key not in self:
                    if final.exists():
                        shutil.rmtree(final)
                    work.rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
