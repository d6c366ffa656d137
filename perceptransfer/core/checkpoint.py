"""Weights plus what is needed to build the model again, in safetensors, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from perceptransfer.core.errors import StoreError
from perceptransfer.core.files import write_atomic


@dataclass(frozen=True)
class Checkpoint:
    """A trained or untrained model.

    ``model`` is the plain configuration (``{"encoder": ..., "tasks": [...]}``); ``state`` maps parameter and buffer
    names to tensors and is empty before the first stage; ``meta`` is free provenance that does not change results.
    """

    model: Mapping[str, Any]
    state: Mapping[str, Tensor] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def state_hash(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of all tensors, independent of their order."""
        total = hashlib.sha256()
        for name in sorted(self.state):
            tensor = self.state[name].detach().cpu().contiguous()
            total.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            total.update(safetensors.torch.save({"t": tensor}))
        return total.hexdigest()

    def save(self, path: Path) -> None:
        """Write atomically.

        Raises:
            OutputError: the folder cannot be written or the disk is full.
        """
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state.items()}
        # No other key than this one: safetensors writes its header's metadata in no fixed order.
        header = {"perceptransfer": json.dumps({"model": self.model, "meta": self.meta}, sort_keys=True)}
        write_atomic(path, safetensors.torch.save(tensors, metadata=header))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            StoreError: the file is missing, damaged, or not a checkpoint of this package.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["perceptransfer"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise StoreError(
                f"not a readable checkpoint ({error})", where=path, remedy="delete the file and run again"
            ) from error
        return cls(model=header["model"], state=state, meta=header["meta"])
