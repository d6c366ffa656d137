"""Three claims that a fine-tuning run may make, each with its own evidence and its own verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perceptransfer.metrics import rate_interval, rule_of_three, sign_flip_test
from perceptransfer.robot.rollout import Episode, totals
from perceptransfer.robot.statistics import Rules, one_sided

Pairs = Mapping[str, tuple[Sequence[Episode], Sequence[Episode]]]  # condition -> frozen and tuned, same starts


def improvement(pairs: Pairs, rules: Rules) -> dict[str, Any]:
    """More starts succeed than with the frozen policy: exact sign-flip test on paired successes, one-sided."""
    frozen, tuned = ([e for pair in pairs.values() for e in pair[side]] for side in (0, 1))
    changes = [float(t.success) - float(f.success) for f, t in zip(frozen, tuned, strict=True)]
    test = sign_flip_test(changes)
    p = one_sided(test)
    return {
        "supported": test.mean > 0 and p is not None and p <= rules.alpha,
        "frozen": _success(frozen),
        "tuned": _success(tuned),
        "gained": sum(change > 0 for change in changes),
        "lost": sum(change < 0 for change in changes),
        "p": p,
    }


def safety(pairs: Pairs, rules: Rules, *, ticks: int, episodes: int, violations: int, spent: int) -> dict[str, Any]:
    """No measured state outside the envelope in the whole run, learning included, and no more interventions after.

    Denominators are ticks in which the policy proposed. The bound over episodes is the honest one: ticks of one
    episode depend on each other.
    """
    rates = {}
    for side, name in enumerate(("frozen", "tuned")):
        sums = totals([e for pair in pairs.values() for e in pair[side]])
        interval = rate_interval(sums["interventions"], sums["ticks"])
        rates[name] = {**sums, "intervention_rate": list(interval)}
    rise = rates["tuned"]["intervention_rate"][0] - rates["frozen"]["intervention_rate"][0]
    return {
        "supported": violations == 0 and rise <= rules.max_rise,
        "violations": violations,
        "proposed_ticks": ticks,
        "episodes": episodes,
        "violation_rate_per_tick_at_most": rule_of_three(ticks)
        if not violations
        else rate_interval(violations, ticks).high,
        "violating_episodes_at_most": rule_of_three(episodes) if not violations else None,
        "interventions_spent": spent,
        "budget": rules.intervention_budget,
        "final": rates,
    }


def deployment(pairs: Pairs, rules: Rules) -> dict[str, Any]:
    """Success of at least ``min_success`` under every final condition, without a state outside the envelope."""
    rows = {name: {**_success(tuned), **totals(tuned)} for name, (_, tuned) in pairs.items()}
    good = all(row["rate"] >= rules.min_success and not row["violations"] for row in rows.values())
    return {"supported": bool(rows) and good, "min_success": rules.min_success, "conditions": rows}


def by_condition(pairs: Pairs) -> dict[str, Any]:
    """Success with its interval, sums and mean perception error (m), frozen and tuned, of every final condition."""
    sides = {name: dict(zip(("frozen", "tuned"), pair, strict=True)) for name, pair in pairs.items()}
    return {
        name: {side: {**_success(e), **totals(e), "perception_error": _error(e)} for side, e in both.items()}
        for name, both in sides.items()
    }


def _error(episodes: Sequence[Episode]) -> float | None:
    known = [e.perception_error for e in episodes if e.perception_error is not None]
    return sum(known) / len(known) if known else None


def _success(episodes: Sequence[Episode]) -> dict[str, Any]:
    good, n = sum(e.success for e in episodes), len(episodes)
    rate, low, high = rate_interval(good, n)
    return {"successes": good, "n": n, "rate": rate, "interval": [low, high]}
