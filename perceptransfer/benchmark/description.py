"""What a report must tell beside the rows: how the run was made, on what data, and what the images look like."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptransfer.core.errors import DataError
from perceptransfer.core.files import write_atomic


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """How the rows of one folder were made; stored beside them as ``run.json``.

    ``command`` repeats the run, a line for each part of it; ``config`` is its YAML text. ``arms`` maps an arm to its
    one-line description. ``data``, ``hardware`` and ``versions`` are free, possibly nested, and shown as they are;
    ``data["name"]`` is the report's title. ``test_reads`` counts how often the real test was opened.
    ``minutes_per_label`` (a value a task) turns labels into cost. ``kind`` says which report the rows are for,
    ``claims`` names the arms (`CrossTask`) whose gain was claimed before the run.
    """

    command: str
    config: str
    arms: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""
    test_reads: int | None = None
    minutes_per_label: Mapping[str, float] = field(default_factory=dict)
    kind: str = "real_fraction"
    claims: Sequence[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write atomically as JSON.

        Raises:
            OutputError: the folder cannot be written or the disk is full.
        """
        write_atomic(path, json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> RunDescription:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, is no JSON, or has other fields.
        """
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"no readable run description ({error})", where=path, remedy="run the benchmark into this folder again"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Images for the sample sheet, uint8 ``[n, H, W, 3]``, with a caption an image (class names) where given."""

    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8]
    synthetic_names: Sequence[str] = ()
    real_names: Sequence[str] = ()

    def save(self, path: Path) -> None:
        """Write atomically as ``.npz`` without pickled objects.

        Raises:
            DataError: the images are not uint8 ``[n, H, W, 3]``.
            OutputError: the folder cannot be written or the disk is full.
        """
        for name in ("synthetic", "real"):
            _check_images(getattr(self, name), name, str(path))
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            synthetic=self.synthetic,
            real=self.real,
            synthetic_names=np.array([str(name) for name in self.synthetic_names], dtype=np.str_),
            real_names=np.array([str(name) for name in self.real_names], dtype=np.str_),
        )
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            DataError: the file is damaged or holds no images.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
            synthetic, real = (_check_images(content[name], name, str(path)) for name in ("synthetic", "real"))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(
                f"no readable sample images ({error})",
                where=path,
                remedy="delete the file: the report leaves the sheet out",
            ) from error
        first, second = (content.get(key, np.array([])).tolist() for key in ("synthetic_names", "real_names"))
        return cls(synthetic=synthetic, real=real, synthetic_names=first, real_names=second)


def _check_images(images: NDArray[Any], key: str, where: str) -> NDArray[np.uint8]:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise DataError(
            f"images of type {images.dtype} and shape {list(images.shape)}",
            where=where,
            key=key,
            remedy="give uint8 [n, H, W, 3]",
        )
    return images.astype(np.uint8, copy=False)
