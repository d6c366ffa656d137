"""The bundle's weights as a trainable timm or transformers model.

The library itself is not imported here: ``timm.create_model(**timm_arguments("encoder/"))``, or
``transformers.TimmWrapperModel.from_pretrained("encoder/")``, builds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perceptransfer.core.errors import BundleError
from perceptransfer.policy.contract import read_contract

_FILES = ("config.json", "model.safetensors")


def timm_arguments(bundle: str | Path) -> dict[str, Any]:
    """Keyword arguments of ``timm.create_model``, after checking the files' hashes.

    The model takes float ``[B, 3, H, W]``, normalised by its ``pretrained_cfg``: this door leads behind the bundle's
    preprocessing, for users who want to train on.

    Raises:
        BundleError: missing, altered, or an encoder that timm does not know.
    """
    folder = Path(bundle)
    contract = read_contract(folder)
    if not contract.timm_layout:
        raise BundleError(
            f"timm has no {contract.encoder}",
            where=folder,
            remedy="load the bundle with perceptransfer.policy.load_encoder",
        )
    for name in _FILES:
        contract.read(folder, name)
    return {"model_name": f"local-dir:{folder}", "pretrained": True}
