"""Optional packages, asked for by name before they are imported."""

from __future__ import annotations

import importlib.util

from perceptransfer.core.errors import MissingExtraError


def require(extra: str, *modules: str) -> None:
    """Check that the packages of an optional part are installed, without importing them.

    Raises:
        MissingExtraError: at least one is not; the remedy is the command that installs them.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"not installed: {', '.join(missing)}", remedy=f'pip install "perceptransfer[{extra}]"')
