"""A checkpoint's encoder as a bundle: all of it, proven equal, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perceptransfer import __version__
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.errors import ParityError
from perceptransfer.core.files import all_or_nothing
from perceptransfer.deploy.encoder import build_encoder, image_size, pair, public_name, read_checkpoint
from perceptransfer.deploy.formats import write_onnx, write_program
from perceptransfer.deploy.graph import Deployed
from perceptransfer.deploy.int8 import Judge, add_int8
from perceptransfer.deploy.parity import check_parity, features
from perceptransfer.deploy.probes import Pixels, random_images, real_images
from perceptransfer.deploy.timm_folder import check_timm, write_weights
from perceptransfer.deploy.writing import seal
from perceptransfer.policy.arrays import hash_arrays
from perceptransfer.policy.bundle import load_encoder
from perceptransfer.policy.contract import FORMATS, GOLDEN, Contract
from perceptransfer.policy.image_spec import ImageSpec
from perceptransfer.policy.tensor_file import write_arrays
from perceptransfer.policy.torch_backend import statistics_of

# Other machines add in another order. A wrong weight, mean or channel order is off by a hundred times as much.
TOLERANCE = 1e-4
PACKAGES = ("torch", "timm", "onnx", "onnxscript", "onnxruntime")


def export(
    checkpoint: Checkpoint | str | Path,
    folder: str | Path,
    size: Sequence[int] | None = None,
    *,
    camera: Sequence[int] | None = None,
    images: Pixels | Tensor | str | Path | None = None,
    int8: bool = False,
    judge: Judge | None = None,
    licence: str = "unknown",
    trained_on: Mapping[str, Any] | None = None,
) -> Contract:
    """Write the bundle (design: ``docs/decisions/0006-the-bundle.md``) into a new folder and return its contract.

    Every format is compared with the model on random images and on real ones; one that differs by more than 1e-5 of the
    largest feature, and nothing is written.

    Args:
        checkpoint: A checkpoint or its file.
        folder: A folder that does not exist yet or is empty.
        size: Height and width that the encoder was trained on; may be left out where it takes only one.
        camera: Height and width of the robot's images, if others; resizing becomes part of the bundle.
        images: Real images, ``uint8 [n, H, W, 3]`` of the camera's size, or a folder of pictures; without them the
            embedded scanned digits. The first four are compared, and int8 is calibrated on every second one.
        int8: Write a quantised format as well, and its feature error on the images left out of its calibration.
        judge: Called with the bundle's folder and the backends "onnx" and "int8"; what it returns, such as closed-loop
            success of a policy, stands beside the error of int8.
        licence: Terms under which the weights may be used.
        trained_on: What the encoder has seen, added to the checkpoint's own provenance.

    Raises:
        ParityError: a format computes something else.
        ConfigError: no weights, or a size that is missing or refused.
        StoreError: the checkpoint is damaged or does not fit.
        OutputError: the folder is taken or cannot be written.
        MissingExtraError: the extra ``export`` is not installed.
    """
    found = read_checkpoint(checkpoint)
    encoder = build_encoder(found)
    height_width = image_size(encoder, size)
    seen = height_width if camera is None else pair(camera, "camera")
    graph = Deployed(encoder, height_width, seen).eval()
    probes = {"random": random_images(seen), "real": real_images(images, seen)}
    with all_or_nothing(Path(folder)) as work:
        few = {name: pictures[:4] for name, pictures in probes.items()}
        golden = torch.cat([few["random"][-2:], few["real"][:2]])
        timm_layout, pooled, spatial = _write_formats(work, graph, golden, height_width)
        contract = Contract(
            encoder=public_name(encoder),
            images=ImageSpec(*seen, height_width, _values(encoder.mean), _values(encoder.std)),
            dim=pooled.shape[1],
            spatial=(spatial.shape[1], spatial.shape[2], spatial.shape[3]),
            files={},
            weights=hash_arrays(graph.state_dict()),
            statistics=hash_arrays(statistics_of(graph.state_dict())),
            parity={},
            tolerance={FORMATS[name]: TOLERANCE for name in ("torch", "onnx")},
            timm_layout=timm_layout,
            licence=licence,
            trained_on={**found.meta, **(trained_on or {})},
            versions=_versions(),
        )
        contract = seal(work, contract)
        encoders = [load_encoder(work, "torch"), load_encoder(work, "onnx")]
        encoders[0].verify()  # the program's tensors are the model's
        parity = {each.file: check_parity(each, graph, few, Path(folder)) for each in encoders}
        contract = seal(work, replace(contract, parity=parity))
        if int8:
            contract = add_int8(work, contract, graph, probes["real"], judge)
    return contract


def _write_formats(work: Path, graph: Deployed, golden: Tensor, size: tuple[int, int]) -> tuple[bool, Tensor, Tensor]:
    """Write all but int8; return whether timm reads the folder, and the golden images' features."""
    pooled, spatial = features(graph, golden)
    if not (pooled.isfinite().all() and spatial.isfinite().all()):
        raise ParityError(
            "the model's own features are not finite",
            remedy="nothing was written; export a checkpoint whose weights hold neither NaN nor infinity",
        )
    timm_layout = write_weights(graph.encoder, work, size)
    if timm_layout:
        check_timm(work, graph.encoder, graph.prepare(golden))
    # Not one image: an axis of length one would be taken for constant.
    write_program(graph, golden, work / FORMATS["torch"])
    write_onnx(graph, golden, work / FORMATS["onnx"])
    write_arrays(work / GOLDEN, {"images": golden, "pooled": pooled, "spatial": spatial})
    return timm_layout, pooled, spatial


def _values(buffer: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in buffer.flatten())


def _versions() -> dict[str, str]:
    found = {"perceptransfer": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
