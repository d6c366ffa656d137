"""Which phase the program is in, so that the test domain can refuse to be read in the wrong one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from perceptransfer.core.errors import TestDomainError

Phase = Literal["idle", "training", "selection", "evaluation"]
_phase: ContextVar[Phase] = ContextVar("phase", default="idle")


def current_phase() -> Phase:
    """The innermost phase entered."""
    return _phase.get()


@contextlib.contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Enter a phase; leaving restores the outer one.

    Raises:
        TestDomainError: evaluation from within training or selection, which would open the test domain to them.
    """
    if name == "evaluation" and current_phase() in ("training", "selection"):
        raise TestDomainError(
            f"evaluation was entered from within {current_phase()}",
            remedy="return from the stage first; the pipeline evaluates afterwards",
        )
    token = _phase.set(name)
    try:
        yield
    finally:
        _phase.reset(token)
