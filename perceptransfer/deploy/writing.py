"""A bundle's folder, sealed with the hashes of what lies in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perceptransfer.core.files import sha256_file, write_atomic
from perceptransfer.policy.contract import CONTRACT, Contract


def seal(work: Path, contract: Contract) -> Contract:
    """Write the contract with the hashes of all files beside it, and return it."""
    files = {path.name: sha256_file(path) for path in sorted(work.iterdir()) if path.name != CONTRACT}
    contract = replace(contract, files=files)
    write_atomic(work / CONTRACT, contract.to_json())
    return contract
