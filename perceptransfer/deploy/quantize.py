"""``encoder.int8.onnx``: 8-bit weights and activations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perceptransfer.deploy.formats import missing_export


def write_int8(source: Path, target: Path, images: Tensor) -> None:
    """Quantise an ONNX graph; activation ranges are taken from ``images`` (``uint8 [n, H, W, 3]``).

    Weights keep seven of eight bits (onnxruntime's ``reduce_range``): the 16-bit sums of x86 without VNNI hold them.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise missing_export(error) from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type hints
        def __init__(self, batches: Iterator[Any]) -> None:
            self.batches = batches

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.numpy()}

    prepared = target.with_suffix(".prepared.onnx")
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends on the root logger what is done here already
    try:
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Reader(iter(torch.split(images, 8))),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # seven bits: with eight, sums saturate on x86 without VNNI
            per_channel=True,
        )
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
