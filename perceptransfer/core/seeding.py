"""Seeds that depend on what is computed, never on what was computed before."""

from __future__ import annotations

import hashlib
import random

import numpy as np


def derive_seed(*parts: object) -> int:
    """Seed in ``0 .. 2^31 - 1`` from the given parts; equal parts give equal seeds on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, all devices."""
    import torch  # not above: rendering processes derive seeds and need no torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
