"""One row per control tick, in plain data that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from perceptransfer.core.ledger import Ledger
from perceptransfer.robot.gated import Tick


def plain(value: Any) -> Any:
    """JSON's numbers, rounded to 9 digits; NaN and the infinities as ``"nan"``, ``"inf"``, ``"-inf"``."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else repr(value)


def tick_row(tick: Tick) -> dict[str, Any]:
    """What one control period has to answer for."""
    decision = tick.decision
    return {
        "tick": tick.number,
        "proposed": plain(tick.proposed),
        "executed": plain(decision.executed),
        "decision": decision.kind.value,
        "g_before": plain(decision.before),
        "g_after": plain(decision.after),
        "binding": list(decision.binding),
        "validity": list(decision.validity),
        "correction": plain(decision.correction),
        "latency_ms": plain(round(decision.latency * 1e3, 4)),
        "measured": plain(tick.audit.g),
        "violated": list(tick.audit.violated),
        "measured_validity": list(tick.audit.validity),
        "human": tick.evidence.human,
        "reward": plain(tick.reward),
        "distance": plain(tick.distance),
    }


class TickRecorder:
    """Rows of kind ``tick`` in a ledger, written ``every`` ticks and at each `flush` with one flush to the disk.

    ``context`` stands in every row: hashes of encoder, policy and gate, phase, panel, start. A crash loses at most
    the last ``every - 1`` ticks; the rows that open and close an episode's update show that some are missing.
    """

    def __init__(self, ledger: Ledger, every: int = 100) -> None:
        self.ledger, self.every = ledger, every
        self.context: dict[str, Any] = {}
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, tick: Tick) -> None:
        """Keep a tick for the next write."""
        self._waiting.append(("tick", {**self.context, **tick_row(tick)}))
        if len(self._waiting) >= self.every:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        rows, self._waiting = self._waiting, []
        self.ledger.extend(rows)
