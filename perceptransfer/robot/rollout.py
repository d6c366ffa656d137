"""Episodes behind a gate, and what is counted in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from perceptransfer.policy.gates.evidence import Floats
from perceptransfer.robot.gated import GatedEnv, Tick


class Policy(Protocol):
    """Anything that proposes an action."""

    def act(self, observation: Any) -> Floats:
        """Action ``[A]``."""


@dataclass(frozen=True)
class Condition:
    """Starts and what else holds: ``options`` go to the environment's reset, such as other dynamics."""

    name: str
    starts: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Episode:
    """Counts of one episode.

    ``ticks`` are those in which the policy proposed: the denominator of every rate. ``decisions`` counts them by
    kind; ``violations`` are ticks whose measured state was outside a limit; ``missed`` those of them in which the
    gate had let an action through; ``only_margin`` interventions in which no limit was in reach, only a margin.
    ``perception_error`` is the mean distance (m) of where the policy took the target to be, if the world can tell.
    """

    start: int
    success: bool
    total_reward: float
    ticks: int
    decisions: Mapping[str, int]
    violations: int
    missed: int
    only_margin: int
    invalid: int
    final_distance: float | None
    perception_error: float | None = None

    @property
    def interventions(self) -> int:
        """Ticks in which something else than the proposal happened."""
        return self.ticks - self.decisions.get("pass", 0)

    def to_row(self) -> dict[str, Any]:
        """Plain data for the ledger."""
        return {**asdict(self), "decisions": dict(self.decisions)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Episode:
        """Inverse of `to_row`."""
        return cls(**row)


def run_episode(env: GatedEnv, policy: Policy, condition: Condition, start: int) -> Episode:
    """One episode from ``condition.starts[start]``."""
    observation, info = env.reset(options={**condition.options, "start": condition.starts[start]})
    margins = {name: constraint.margin for name, constraint in env.gate.constraints.items()}
    ticks: list[Tick] = []
    errors: list[float] = []
    done = False
    while not done:
        if "perception_error" in info:
            errors.append(info["perception_error"])
        observation, _, terminated, truncated, info = env.step(policy.act(observation))
        ticks.append(info["gate"])
        done = terminated or truncated
    let_through = [t for t in ticks if t.audit.violated and t.decision.executed is not None]
    return Episode(
        start=start,
        success=bool(info.get("success", False)),
        total_reward=round(sum(t.reward for t in ticks), 6),
        ticks=len(ticks),
        decisions=dict(sorted(Counter(t.decision.kind.value for t in ticks).items())),
        violations=sum(bool(t.audit.violated) for t in ticks),
        missed=len(let_through),
        only_margin=sum(_only_margin(t, margins) for t in ticks),
        invalid=sum(bool(t.decision.validity) for t in ticks),
        final_distance=None if ticks[-1].distance is None else round(float(ticks[-1].distance), 6),
        perception_error=round(sum(errors) / len(errors), 6) if errors else None,
    )


def run_condition(env: GatedEnv, policy: Policy, condition: Condition) -> list[Episode]:
    """One episode from each start."""
    return [run_episode(env, policy, condition, start) for start in range(len(condition.starts))]


def totals(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Sums over episodes: the numbers that a report puts over their denominators."""
    decisions: Counter[str] = Counter()
    for episode in episodes:
        decisions.update(episode.decisions)
    return {
        "episodes": len(episodes),
        "successes": sum(e.success for e in episodes),
        "ticks": sum(e.ticks for e in episodes),
        "interventions": sum(e.interventions for e in episodes),
        "violations": sum(e.violations for e in episodes),
        "invalid": sum(e.invalid for e in episodes),
        "decisions": dict(sorted(decisions.items())),
        "mean_reward": sum(e.total_reward for e in episodes) / len(episodes) if episodes else None,
    }


def _only_margin(tick: Tick, margins: Mapping[str, float]) -> bool:
    binding, before = tick.decision.binding, tick.decision.before
    return bool(binding) and all(before[name] <= margins[name] for name in binding)
