"""The exported graph run by onnxruntime and NumPy, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perceptransfer.core.errors import BundleError, MissingExtraError
from perceptransfer.policy.arrays import Array, kind_of
from perceptransfer.policy.contract import FORMATS, Contract
from perceptransfer.policy.frozen import Described, Encoded


class OnnxEncoder(Described):
    """``encoder.onnx``, or its quantised form with ``backend="int8"``, in one onnxruntime session on the CPU."""

    def __init__(self, folder: Path, contract: Contract, backend: str = "onnx", threads: int | None = None) -> None:
        """Read the graph; ``threads`` is the session's number of threads, by default onnxruntime's choice.

        Raises:
            BundleError: missing, altered, or not readable by this onnxruntime.
            MissingExtraError: onnxruntime is not installed.
        """
        self.folder, self.contract = folder, contract
        self.backend, self.file, self.threads = backend, FORMATS[backend], threads
        self._session = _session(contract.read(folder, self.file), folder / self.file, threads)

    def __call__(self, images: Array) -> Encoded:
        """Features; see `FrozenEncoder`."""
        self.contract.images.check(images)
        if kind_of(images) == "numpy":
            return Encoded(*self._session.run(None, {"images": images.copy()}))  # rows in order, also of a view
        import torch

        found = self._session.run(None, {"images": images.cpu().numpy()})
        return Encoded(*(torch.from_numpy(output).to(images.device) for output in found))

    def verify(self) -> None:
        """Hash the file again; the session's own copy of the weights cannot be reached, by nobody.

        Raises:
            BundleError: the file is missing or altered.
        """
        self.contract.read(self.folder, self.file)

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxEncoder:
        return self  # nothing in it changes; a session cannot be copied

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.contract, self.backend, self.threads)


def _session(content: bytes, where: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "onnxruntime is not installed",
            remedy='pip install "perceptransfer[export]", or onnxruntime alone on the robot',
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception classes with no base but this
        raise BundleError(
            f"onnxruntime {onnxruntime.__version__} cannot read the graph ({error})",
            where=where,
            remedy="install the onnxruntime that the contract names under versions, or a later one",
        ) from error
