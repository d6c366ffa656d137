"""A bundle's folder: complete with hashes, or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from perceptransfer.core.errors import OutputError
from perceptransfer.core.files import output_errors, sha256_file, write_atomic
from perceptransfer.policy.contract import CONTRACT, Contract


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[Path]:
    """A folder to work in, which takes its place only when everything went well.

    Raises:
        OutputError: the place is taken or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError("is there already", where=folder, remedy="name a new folder, or remove this one")
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.writing-"))
    try:
        yield work
        with output_errors(folder):
            work.chmod(0o755)
            os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def seal(work: Path, contract: Contract) -> Contract:
    """Write the contract with the hashes of all files beside it, and return it."""
    files = {path.name: sha256_file(path) for path in sorted(work.iterdir()) if path.name != CONTRACT}
    contract = replace(contract, files=files)
    write_atomic(work / CONTRACT, contract.to_json())
    return contract
