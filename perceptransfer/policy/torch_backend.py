"""The exported program run by torch: no timm, no other package."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from perceptransfer.core.errors import BundleError
from perceptransfer.policy.arrays import Array, hash_arrays, kind_of
from perceptransfer.policy.contract import FORMATS, Contract
from perceptransfer.policy.frozen import Described, Encoded

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class TorchEncoder(Described, nn.Module):
    """``encoder.pt2`` as a module that may be part of a policy and stays as it is.

    Its weights are buffers: they move between devices with the policy and are saved with it, but an optimiser is never
    given them and ``requires_grad_(True)`` does not reach them. Batch normalisation is fixed in the program itself, and
    ``train()`` is without effect. `verify` finds what still can happen: tensors overwritten from outside.
    """

    backend = "torch"
    file = FORMATS["torch"]

    def __init__(self, folder: Path, contract: Contract) -> None:
        """Read the program.

        Raises:
            BundleError: missing, altered, or not readable by this torch.
        """
        super().__init__()
        self.folder, self.contract = folder, contract
        content = contract.read(folder, self.file)
        try:
            program = torch.export.load(io.BytesIO(content)).module()
        except Exception as error:  # torch's reader raises whatever its parts raise
            raise BundleError(
                f"torch {torch.__version__} cannot read the program ({type(error).__name__}: {error})",
                where=folder / self.file,
                remedy=f"install torch {contract.versions.get('torch', 'as it was at export')} or later",
            ) from error
        self.program = _without_parameters(program)
        self.training = False

    @torch.no_grad()
    def forward(self, images: Array) -> Encoded:
        """Features; see `FrozenEncoder`."""
        self.contract.images.check(images)
        if kind_of(images) == "numpy":
            # A copy: torch takes neither read-only arrays nor reversed ones, as BGR to RGB by a slice leaves them.
            found = self.program(torch.from_numpy(images.copy()).to(self._device()))
            return Encoded(*(output.cpu().numpy() for output in found))
        return Encoded(*self.program(images.to(self._device())))

    def train(self, mode: bool = True) -> Self:
        """Nothing: a frozen encoder has one mode."""
        return self

    def verify(self) -> None:
        """Hash the tensors that lie in memory.

        Raises:
            BundleError: a weight or a batch-norm statistic was overwritten, or takes gradients.
        """
        state = self.program.state_dict()
        if any(tensor.requires_grad for tensor in self.program.state_dict(keep_vars=True).values()):
            raise BundleError("the frozen encoder takes gradients", where=self.folder, remedy="load the bundle again")
        for what, expected, tensors in (
            ("batch-norm statistics", self.contract.statistics, statistics_of(state)),
            ("weights", self.contract.weights, state),
        ):
            if hash_arrays(tensors) != expected:
                raise BundleError(
                    f"the {what} in memory are not the bundle's any more",
                    where=self.folder,
                    remedy="load the bundle again, and find what wrote to it (load_state_dict, half, an optimiser)",
                )

    def _device(self) -> torch.device:
        return next(self.program.buffers()).device


def statistics_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch-norm part of a state dict."""
    return {name: tensor for name, tensor in state.items() if name.endswith(STATISTICS)}


def _without_parameters(program: nn.Module) -> nn.Module:
    """Turn parameters into buffers of the same names, which the program's graph reads just as well."""
    for module in program.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    return program
