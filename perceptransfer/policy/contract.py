"""``contract.json``: what a bundle holds, what goes in, what comes out, and the hashes that show any change."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perceptransfer.core.config import digest
from perceptransfer.core.errors import BundleError
from perceptransfer.policy.image_spec import ImageSpec

SCHEMA = 1
CONTRACT = "contract.json"
GOLDEN = "golden.safetensors"
FORMATS = {"torch": "encoder.pt2", "onnx": "encoder.onnx", "int8": "encoder.int8.onnx"}
_REMEDY = "export the checkpoint again, or copy the whole folder again"


@dataclass(frozen=True)
class Contract:
    """The bundle's description.

    ``encoder`` is the architecture's name and ``timm_layout`` says whether timm's ``local-dir:`` reads the folder.
    ``pooled`` features have ``dim`` values, ``spatial`` ones (channels, height, width). ``files`` maps names to
    SHA-256; ``weights`` and ``statistics`` (the batch-norm part alone) hash the tensors themselves, as they lie in
    memory. ``parity`` holds the relative error of every format against the model at export, ``tolerance`` what the
    golden output may differ by on another machine. ``int8`` is the quantised format's error, ``None`` without one.
    """

    encoder: str
    images: ImageSpec
    dim: int
    spatial: tuple[int, int, int]
    files: Mapping[str, str]
    weights: str
    statistics: str
    parity: Mapping[str, Mapping[str, float]]
    tolerance: Mapping[str, float]
    timm_layout: bool
    licence: str
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    int8: Mapping[str, Any] | None = None
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """Identity of the bundle: covers every field, through ``files`` every byte of every other file."""
        return digest(self.as_dict())

    def to_json(self) -> str:
        """The file's text; it ends with its own hash."""
        return json.dumps({**self.as_dict(), "sha256": self.sha256}, indent=1) + "\n"

    def read(self, folder: Path, name: str) -> bytes:
        """A file's content, checked before anything is done with it.

        Raises:
            BundleError: the file is missing, not part of the bundle, or altered.
        """
        if name not in self.files:
            raise BundleError(
                f"the bundle has no {name}",
                where=folder,
                remedy="choose another backend, or export with int8" if name == FORMATS["int8"] else _REMEDY,
            )
        content = _read(folder / name)
        if hashlib.sha256(content).hexdigest() != self.files[name]:
            raise BundleError(
                "the file was altered: its hash is not the contract's", where=folder / name, remedy=_REMEDY
            )
        return content


def read_contract(folder: Path) -> Contract:
    """The contract of a bundle.

    Raises:
        BundleError: no bundle, one of another version, or a contract that was edited.
    """
    path = folder / CONTRACT
    try:
        data = json.loads(_read(path))
        schema, claimed = data["schema"], data.pop("sha256", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"not a contract ({error})", where=path, remedy=_REMEDY) from error
    if schema != SCHEMA:
        raise BundleError(
            f"the bundle is of version {schema}, this program reads version {SCHEMA}",
            where=path,
            key="schema",
            remedy="export the checkpoint again with this version of perceptransfer, or install the one that wrote it",
        )
    try:
        data["images"] = ImageSpec(**{name: _tuple(item) for name, item in data["images"].items()})
        contract = Contract(**{name: _tuple(item) if name == "spatial" else item for name, item in data.items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"fields are missing or unknown ({error})", where=path, remedy=_REMEDY) from error
    if contract.sha256 != claimed:
        raise BundleError("the contract was edited: its own hash differs", where=path, key="sha256", remedy=_REMEDY)
    return contract


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", where=path, remedy=_REMEDY) from error
