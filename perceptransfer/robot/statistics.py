"""When an update has to go: gate statistics against those of the checkpoint before it, on the same starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perceptransfer.core.errors import ConfigError
from perceptransfer.metrics import SignFlip, sign_flip_test
from perceptransfer.robot.rollout import Episode, totals


@dataclass(frozen=True)
class Rules:
    """What was declared before the first update.

    Attributes:
        max_intervention_rate: Share of ticks that the gate may change or refuse of the untuned policy; above it
            nothing is tuned.
        intervention_budget: Interventions (ticks) that learning may spend in all, trials and checks.
        updates: Number of updates.
        intervention_cost: What a tick with an intervention takes from the reward that the update rule sees; reward
            alone would buy speed with work for the gate.
        alpha: One-sided level of the exact sign-flip test on paired differences of intervention rates by episode.
        tolerated_rise: Rise of the mean intervention rate that the test asks to be exceeded.
        max_rise: Rise of the mean intervention rate that rolls back whatever the test says.
        max_losses: Net number of starts that may turn from success to failure.
        min_success: Success that the deployment claim demands under each final condition.
    """

    max_intervention_rate: float = 0.2
    intervention_budget: int = 5000
    updates: int = 4
    intervention_cost: float = 0.1
    alpha: float = 0.05
    tolerated_rise: float = 0.02
    max_rise: float = 0.1
    max_losses: int = 0
    min_success: float = 0.8

    def __post_init__(self) -> None:
        for name in ("max_intervention_rate", "alpha", "max_rise", "min_success"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{getattr(self, name)} is not in (0, 1]", key=name, remedy="give a share")
        for name in ("intervention_budget", "updates", "max_losses", "intervention_cost", "tolerated_rise"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{getattr(self, name)} is negative", key=name, remedy="use 0 or more")


@dataclass(frozen=True)
class Verdict:
    """``reason`` to roll back, or None; the numbers that it stands on."""

    reason: str | None
    statistics: dict[str, Any]


def one_sided(test: SignFlip) -> float | None:
    """The p of a mean above 0, from the two-sided p of a symmetric test."""
    if test.p is None:
        return None
    return test.p / 2 if test.mean > 0 else 1 - test.p / 2


def compare(before: Sequence[Episode], after: Sequence[Episode], rules: Rules) -> Verdict:
    """Judge an update by episodes from the same starts before and after it.

    The statistic is the mean over starts of (intervention rate after − before). Its p is that of the exact sign-flip
    test of a mean above ``tolerated_rise``, halved to one side, and None with too few starts. Ticks of an episode
    depend on each other, starts do not, which is why the pairs are episodes.
    """
    rises = [a.interventions / a.ticks - b.interventions / b.ticks for a, b in zip(after, before, strict=True)]
    mean = sum(rises) / len(rises)
    p = one_sided(sign_flip_test([rise - rules.tolerated_rise for rise in rises]))
    losses = sum(b.success for b in before) - sum(a.success for a in after)
    old, new = totals(before), totals(after)
    stops = [t["decisions"].get("stop", 0) + t["decisions"].get("human", 0) for t in (old, new)]
    numbers = {
        "mean_rise": round(mean, 9),
        "p_rise": p,
        "net_losses": losses,
        "violations": new["violations"],
        "stops_before": stops[0],
        "stops_after": stops[1],
        "before": old,
        "after": new,
    }
    reason = None
    if new["violations"]:
        reason = f"{new['violations']} ticks outside the envelope"
    elif stops[1] > stops[0]:
        reason = f"stops rose from {stops[0]} to {stops[1]}"
    elif mean > rules.max_rise:
        reason = f"intervention rate rose by {mean:.3f}, more than {rules.max_rise}"
    elif p is not None and p <= rules.alpha:
        reason = f"intervention rate rose by {mean:.3f} (p = {p:.4f})"
    elif losses > rules.max_losses:
        reason = f"{losses} more starts fail"
    return Verdict(reason, numbers)
