"""Commands about the encoder's bundle."""

from __future__ import annotations

from pathlib import Path

from perceptransfer.deploy import export as write_bundle
from perceptransfer.policy import verify_bundle


def export(
    checkpoint: str,
    folder: str,
    size: list[int] | None = None,
    camera: list[int] | None = None,
    images: str | None = None,
    int8: bool = False,
    licence: str = "unknown",
    trained_on: str | None = None,
) -> int:
    """Write a checkpoint's frozen encoder as timm folder, ONNX graph and torch program, each proven equal to it.

    Args:
        checkpoint: The file checkpoint.safetensors of a run.
        folder: New folder for the bundle.
        size: Height and width that the encoder was trained on, as [H,W]; null where it takes only one.
        camera: Height and width of the robot's images, as [H,W], if they are others; the bundle resizes them.
        images: Folder of real pictures to compare on and to calibrate int8 with; null takes the embedded digits.
        int8: Also write a quantised ONNX graph and its feature error.
        licence: Terms under which the weights may be used, noted in the contract.
        trained_on: What the encoder has seen, noted in the contract beside the checkpoint's own provenance.
    """
    domain = None if trained_on is None else {"domain": trained_on}
    contract = write_bundle(
        checkpoint, folder, size, camera=camera, images=images, int8=int8, licence=licence, trained_on=domain
    )
    spec = contract.images
    print(f"{contract.encoder}: uint8 [B, {spec.height}, {spec.width}, 3] to pooled [B, {contract.dim}]")
    for name, errors in contract.parity.items():
        print(f"{name:<18} differs by {max(errors.values()):.1e}")
    if contract.int8 is not None:
        print(f"{'encoder.int8.onnx':<18} features off by {100 * contract.int8['feature_error']['pooled']:.1f} %")
    print(f"bundle: {folder}  sha256: {contract.sha256}")
    return 0


def verify(folder: str) -> int:
    """Check a bundle: hash every file, then run every format that can run here on the golden images.

    Args:
        folder: A bundle that export wrote.
    """
    for check in verify_bundle(Path(folder)):
        found = check.skipped or f"golden output differs by {check.error:.1e}, allowed {check.tolerance:.1e}"
        print(f"{check.backend:<6} {found}")
    print(f"{folder}: verified")
    return 0
