"""Why an episode failed, read from its counts and from the frozen policy's episode from the same start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from perceptransfer.robot.rollout import Episode

OFTEN, MOSTLY = 0.1, 0.5  # shares of an episode's ticks


@dataclass(frozen=True)
class Attribution:
    """``cause`` of a failure; ``new`` if the frozen policy succeeds from the same start."""

    start: int
    cause: str
    new: bool
    why: str

    def to_row(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def attribute(failed: Episode, frozen: Episode) -> Attribution:
    """One cause, the first that applies.

    ``wrong gate``: an action that the gate let through led out of the envelope, or margins alone (no limit in reach)
    took most of the ticks from the policy. ``sensor``: invalid readings or actions in one tick of ten. ``unsafe
    proposal``: the robot was stopped, or one proposal in ten lay beyond a limit. ``misleading reward``: the frozen
    policy succeeds here with no more reward. ``harmful update``: the frozen policy succeeds here. ``gap``: it does
    not either, and the update is not to blame.
    """
    beyond = failed.interventions - failed.only_margin - failed.invalid
    stopped = failed.decisions.get("stop", 0) + failed.decisions.get("human", 0)
    new = frozen.success
    if failed.missed:
        cause, why = "wrong gate", f"{failed.missed} admitted ticks left the envelope"
    elif failed.invalid >= OFTEN * failed.ticks:
        cause, why = "sensor", f"{failed.invalid} of {failed.ticks} ticks had an invalid reading or action"
    elif stopped or beyond >= OFTEN * failed.ticks:
        cause, why = "unsafe proposal", f"{beyond} of {failed.ticks} proposals beyond a limit, {stopped} stops"
    elif failed.only_margin >= MOSTLY * failed.ticks:
        cause, why = "wrong gate", f"margins alone changed {failed.only_margin} of {failed.ticks} ticks"
    elif new and failed.total_reward >= frozen.total_reward:
        cause, why = "misleading reward", f"reward {failed.total_reward:.3f}, frozen {frozen.total_reward:.3f}"
    elif new:
        cause, why = "harmful update", "the frozen policy succeeds from this start"
    else:
        cause, why = "gap", "the frozen policy fails from this start too"
    return Attribution(failed.start, cause, new, why)


def attributions(episodes: Sequence[Episode], frozen: Sequence[Episode]) -> list[Attribution]:
    """One for each failed episode; both lists are of the same starts in the same order."""
    return [attribute(e, f) for e, f in zip(episodes, frozen, strict=True) if not e.success]
