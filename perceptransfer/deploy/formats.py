"""Writing ``encoder.pt2`` and ``encoder.onnx``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from perceptransfer.core.errors import ConfigError, MissingExtraError
from perceptransfer.deploy.graph import Deployed

MOST = 4096  # images a batch; a bound, because 32-bit indices end somewhere


def write_program(graph: Deployed, example: Tensor, path: Path) -> None:
    """Write what ``torch.export.load`` reads, with a free batch size.

    Raises:
        ConfigError: the encoder does things that cannot be exported.
    """
    batch = torch.export.Dim("batch", min=1, max=MOST)
    with _refusal("torch.export"):
        torch.export.save(torch.export.export(graph, (example,), dynamic_shapes=({0: batch},)), path)


def write_onnx(graph: Deployed, example: Tensor, path: Path) -> None:
    """Write an ONNX graph with input ``images``, outputs ``pooled`` and ``spatial``, and a free batch size.

    Raises:
        ConfigError: the encoder does things that cannot be exported.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401 - asked for here, because the exporter's own complaint names no remedy
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_export(error) from error
    with _refusal("torch.onnx"):
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MOST)},),
            input_names=["images"],
            output_names=["pooled", "spatial"],
            verbose=False,
        )
        if program is None:
            raise RuntimeError("no program")
        program.save(path, external_data=False)


def missing_export(error: ImportError) -> MissingExtraError:
    """The error for a package of the extra ``export`` that is not installed."""
    return MissingExtraError(f"{error.name} is not installed", remedy='pip install "perceptransfer[export]"')


@contextmanager
def _refusal(exporter: str) -> Iterator[None]:
    """Silence the exporter's progress and turn whatever it raises into one error."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    except Exception as error:
        raise ConfigError(
            f"{exporter} refuses this encoder ({type(error).__name__}: {error})",
            key="encoder",
            remedy="choose a backbone without data-dependent control flow",
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
