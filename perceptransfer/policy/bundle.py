"""Open a bundle, or check one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from perceptransfer.core.errors import BundleError, ConfigError, MissingExtraError
from perceptransfer.policy.arrays import Kind, relative_error
from perceptransfer.policy.contract import FORMATS, GOLDEN, Contract, read_contract
from perceptransfer.policy.frozen import FrozenEncoder
from perceptransfer.policy.tensor_file import unpack

Backend = Literal["auto", "torch", "onnx", "int8"]


def load_encoder(
    folder: str | Path, backend: Backend = "auto", *, sha256: str | None = None, threads: int | None = None
) -> FrozenEncoder:
    """The frozen encoder of a bundle.

    ``torch`` runs ``encoder.pt2`` as a module that moves to any device with its policy. ``onnx`` and ``int8`` run on
    onnxruntime with ``threads`` threads: faster on a CPU. ``auto`` takes torch where it is installed. ``sha256`` pins
    one bundle: a contract that was forged together with its files has another.

    Raises:
        BundleError: incomplete, altered, of another version, or not the pinned one.
        ConfigError: an unknown backend.
        MissingExtraError: the backend's library is not installed.
    """
    place = Path(folder)
    if backend not in get_args(Backend):
        raise ConfigError(
            f"unknown backend {backend!r}", key="backend", remedy=f"use one of {', '.join(get_args(Backend))}"
        )
    contract = read_contract(place)
    if sha256 is not None and contract.sha256 != sha256:
        raise BundleError(
            f"this is bundle {contract.sha256}, not {sha256}", where=place, key="sha256", remedy="use the pinned bundle"
        )
    if backend == "auto":
        backend = "torch" if importlib.util.find_spec("torch") else "onnx"
    return _open(place, contract, backend, threads)


load = load_encoder  # its name where `policy` stands before it


def _open(folder: Path, contract: Contract, backend: str, threads: int | None = None) -> FrozenEncoder:
    if backend != "torch":
        from perceptransfer.policy.onnx_backend import OnnxEncoder

        return OnnxEncoder(folder, contract, backend, threads)
    try:
        from perceptransfer.policy.torch_backend import TorchEncoder
    except ImportError as error:
        raise MissingExtraError("torch is not installed", remedy='pip install torch, or backend="onnx"') from error
    return TorchEncoder(folder, contract)


@dataclass(frozen=True)
class Check:
    """One format's golden output: relative error against the recorded one, or why it was not run."""

    backend: str
    error: float | None
    tolerance: float
    skipped: str = ""


def verify_bundle(folder: str | Path) -> list[Check]:
    """Hash every file, then run every format whose library is installed on the golden images.

    Raises:
        BundleError: a file is missing or altered, a golden output differs by more than the contract's tolerance, or
            there is no library here to run any format with.
    """
    place = Path(folder)
    contract = read_contract(place)
    for name in contract.files:
        contract.read(place, name)
    checks = [
        _golden(place, contract, backend)
        if importlib.util.find_spec(library)
        else Check(backend, None, contract.tolerance[FORMATS[backend]], f"{library} is not installed")
        for backend, library in (("torch", "torch"), ("onnx", "onnxruntime"), ("int8", "onnxruntime"))
        if FORMATS[backend] in contract.files
    ]
    if all(check.skipped for check in checks):
        raise BundleError("nothing here runs the bundle", where=place, remedy="pip install torch or onnxruntime")
    return checks


def _golden(folder: Path, contract: Contract, backend: str) -> Check:
    kind: Kind = "torch" if backend == "torch" else "numpy"
    golden = unpack(contract.read(folder, GOLDEN), kind, folder / GOLDEN)
    found = _open(folder, contract, backend)(golden["images"])
    # The quantised format answers to its own output: its distance from the others is recorded, not checked.
    suffix = "_int8" if backend == "int8" else ""
    error = max(relative_error(found[i], golden[f"{name}{suffix}"]) for i, name in enumerate(found._fields))
    tolerance = contract.tolerance[FORMATS[backend]]
    if not error <= tolerance:  # NaN is not within any tolerance
        raise BundleError(
            f"the golden output differs by {error:.2g}, more than {tolerance:.2g}",
            where=folder / FORMATS[backend],
            remedy="this machine computes something else: use another backend or other library versions",
        )
    return Check(backend, error, tolerance)
