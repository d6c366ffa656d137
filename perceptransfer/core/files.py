"""Files and folders that are either complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from perceptransfer.core.errors import OutputError


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write (full disk, no permission) into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or error}",
            where=path,
            remedy="free disk space or choose a writable output folder",
        ) from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that a reader sees the old file or the whole new one, also after a crash.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


@contextlib.contextmanager
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


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
