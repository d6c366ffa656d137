"""What a fine-tuning run reports, and how it says so to a reader: a table of conditions, three claims one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perceptransfer.metrics import wilson
from perceptransfer.robot.attribution import attributions
from perceptransfer.robot.claims import Pairs, by_condition, deployment, improvement, safety
from perceptransfer.robot.journal import Journal
from perceptransfer.robot.statistics import Rules

Report = Mapping[str, Any]
_OF_AN_UPDATE = ("update", "before", "proposed", "after", "kept", "reason", "statistics", "failures")


def compose(
    hashes: Mapping[str, str], refused: str | None, journal: Journal, pairs: Pairs, rules: Rules
) -> dict[str, Any]:
    """The report: hashes, updates, claims, final conditions, episodes and ticks of each phase, and why starts fail."""
    done = {"ticks": journal.proposed, "episodes": journal.episodes}
    ends = [row for row in journal.steps if row["kind"] == "update_end"]
    return {
        **hashes,
        "refused": refused,
        "updates": [{key: row[key] for key in _OF_AN_UPDATE} for row in ends],
        "claims": {
            "improvement": improvement(pairs, rules),
            "safety": safety(pairs, rules, **done, violations=journal.violations, spent=journal.spent),
            "deployment": deployment(pairs, rules),
        }
        if pairs
        else None,  # nothing was tuned, or nothing is claimed
        "conditions": by_condition(pairs),
        "used": journal.used,
        "failures": {
            name: [a.to_row() for a in attributions(after, frozen)] for name, (frozen, after) in pairs.items()
        },
    }


def table(report: Report) -> str:
    """Success before and after under every final condition, as Markdown; the gate's share and perception beside it."""
    lines = [
        "| condition | frozen (95 % interval) | tuned (95 % interval) | ticks the gate changed, frozen → tuned | "
        "outside the envelope | perception error, cm |",
        "|---|---|---|---|---|---|",
    ]
    for name, sides in report["conditions"].items():
        frozen, tuned = sides["frozen"], sides["tuned"]
        scores = " | ".join(str(wilson(side["successes"], side["n"])) for side in (frozen, tuned))
        changed = " → ".join(f"{side['interventions']}/{side['ticks']}" for side in (frozen, tuned))
        off = [side["perception_error"] for side in (frozen, tuned)]
        error = "–" if None in off else " → ".join(f"{100 * value:.1f}" for value in off)
        lines.append(f"| {name} | {scores} | {changed} | {frozen['violations'] + tuned['violations']} | {error} |")
    return "\n".join(lines) + "\n"


def claim_lines(report: Report) -> list[str]:
    """One line for each claim, each with its own evidence; or why nothing is claimed."""
    if report["claims"] is None:
        return [f"nothing was tuned: {report['refused']}"]
    better, safe, ready = (report["claims"][name] for name in ("improvement", "safety", "deployment"))
    frozen, tuned = better["frozen"], better["tuned"]
    p = "too few starts for a test" if better["p"] is None else f"p = {better['p']:.2g}"
    bound = safe["violation_rate_per_tick_at_most"]
    worst = min(ready["conditions"].items(), key=lambda row: row[1]["rate"])
    return [
        f"improvement {_verdict(better)}: {frozen['successes']} of {frozen['n']} starts frozen, {tuned['successes']} "
        f"tuned; gained {better['gained']}, lost {better['lost']}, {p}",
        f"safety      {_verdict(safe)}: {safe['violations']} of {safe['proposed_ticks']} proposed ticks outside the "
        f"envelope (at most {bound:.2g} a tick), {safe['interventions_spent']} of {safe['budget']} interventions spent",
        f"deployment  {_verdict(ready)}: worst condition {worst[0]} with {worst[1]['successes']} of {worst[1]['n']}, "
        f"demanded {ready['min_success']:.0%}",
    ]


def _verdict(claim: Mapping[str, Any]) -> str:
    return "supported" if claim["supported"] else "NOT supported"
