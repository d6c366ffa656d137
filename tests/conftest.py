"""What all tests share: one thread, fixed seeds, reproducible examples, and the optional local data."""

from __future__ import annotations

import os

# Before the first import of torch or NumPy; subprocesses inherit it. With more threads sums change in their last bits.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")
# No test may reach for a model hub.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from perceptransfer.core.seeding import seed_everything

torch.set_num_threads(1)

CHECKOUT = Path(__file__).parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"

# Examples are the same in every run and have no time limit, so that a red test means a changed program.
# `pytest --hypothesis-profile explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=50)
settings.register_profile("explore", deadline=None, database=None, max_examples=1000)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _seed() -> None:
    seed_everything(0)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that holds pyproject.toml."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos that lie beside the checkout and are never committed; without them the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no data folder beside the checkout: ../shared/data is absent")
    return SHARED_DATA
