"""Success in closed loop: a policy, a start panel, a look and dynamics; one row an episode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from perceptransfer.core.errors import ActionError
from perceptransfer.robot.arrays import Floats, Pixels
from perceptransfer.robot.dynamics import Dynamics
from perceptransfer.robot.look import Look
from perceptransfer.robot.panels import Panel, panel
from perceptransfer.robot.policies import Policy
from perceptransfer.robot.slots import Episode, Slots, Tick

DELAYS = (0.05, 0.1, 0.15)  # s


@dataclass(frozen=True)
class Condition:
    """Under what a policy is tried."""

    name: str
    panel: Panel
    look: Look = field(default_factory=Look)
    dynamics: Dynamics = field(default_factory=Dynamics)


@dataclass(frozen=True)
class Row:
    """One episode.

    ``distance`` to the goal at the end (m), ``steps`` taken, ``perception_error`` (m, mean over the episode; None for a
    policy that estimates nothing).
    """

    condition: str
    panel: str
    start: int
    success: bool
    distance: float
    steps: int
    perception_error: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Rows in the panel's order and, of the first episodes, the pictures ``[T, H, W, 3]`` that the policy saw."""

    rows: tuple[Row, ...]
    films: tuple[Pixels, ...] = ()


def conditions(
    world: str, source: Look, target: Look, count: int = 50, dynamics: Dynamics | None = None
) -> list[Condition]:
    """The standard ones: both looks, held-out starts and edge in both, and delays of 50 to 150 ms in the source."""
    dynamics = dynamics or Dynamics()
    test = panel(world, "test", count)
    made = [Condition("source", test, source, dynamics), Condition("target", test, target, dynamics)]
    for place in ("held_out", "edge"):
        made += [
            Condition(f"{place}, {name}", panel(world, place, count), look, dynamics)
            for name, look in (("source", source), ("target", target))
        ]
    slower = ((delay, replace(dynamics, delay=dynamics.delay + delay)) for delay in DELAYS)
    return made + [Condition(f"delay {1000 * delay:.0f} ms", test, source, changed) for delay, changed in slower]


def evaluate(
    policy: Policy, condition: Condition, *, workers: int = 0, batch: int = 25, size: int = 96, films: int = 0
) -> Evaluation:
    """Run every start of the panel.

    ``batch`` episodes begin together and the policy always sees all of them, those that have ended frozen at their
    last picture: its arithmetic, and so the result, is the same for any number of ``workers``.

    Raises:
        ActionError: the policy gave NaN, infinity or another shape.
    """
    starts = condition.panel.starts
    drawn = size if "image" in policy.keys else 0
    rows: list[Row] = []
    kept: list[Pixels] = []
    with Slots(condition.panel.world, min(batch, len(starts)), size=drawn, workers=workers) as slots:
        for first in range(0, len(starts), slots.count):
            group = range(first, min(first + slots.count, len(starts)))
            episodes = [Episode(starts[i], condition.look, condition.dynamics) for i in group]
            made, seen = _run(policy, slots, episodes, films - len(kept) if drawn else 0)
            kept += seen
            rows += [
                replace(row, condition=condition.name, panel=condition.panel.name, start=i)
                for i, row in zip(group, made, strict=True)
            ]
    return Evaluation(tuple(rows), tuple(kept))


def evaluate_all(policy: Policy, under: Iterable[Condition], *, workers: int = 0, batch: int = 25) -> list[Row]:
    """Rows of several conditions."""
    return [row for condition in under for row in evaluate(policy, condition, workers=workers, batch=batch).rows]


def _run(policy: Policy, slots: Slots, episodes: Sequence[Episode], films: int) -> tuple[list[Row], list[Pixels]]:
    """One group of episodes to the end of the last."""
    ticks = slots.reset(episodes)
    steps = [0] * len(ticks)
    errors: list[list[float]] = [[] for _ in ticks]
    seen: list[list[Pixels]] = [[tick.observation["image"]] for tick in ticks[:films]]
    policy.reset(len(ticks))
    while running := [i for i, tick in enumerate(ticks) if not tick.ended]:
        columns = {key: np.stack([tick.observation[key] for tick in ticks]) for key in policy.keys}
        actions = _checked(policy.act(columns), len(ticks))
        estimates = policy.estimate()
        for i in running:
            if estimates is not None:
                errors[i].append(float(np.hypot(*(estimates[i] - ticks[i].labels["target"]))))
        for i, tick in slots.step({i: actions[i] for i in running}).items():
            ticks[i], steps[i] = tick, steps[i] + 1
            if i < len(seen):
                seen[i].append(tick.observation["image"])
    rows = [_row(tick, steps[i], errors[i]) for i, tick in enumerate(ticks)]
    return rows, [np.stack(pictures) for pictures in seen]


def _row(tick: Tick, steps: int, errors: list[float]) -> Row:
    error = float(np.mean(errors)) if errors else None
    return Row("", "", 0, bool(tick.success), float(tick.distance), steps, error)


def _checked(actions: Floats, count: int) -> Floats:
    if actions.shape != (count, 2) or not np.isfinite(actions).all():
        bad = "NaN or infinite" if actions.shape == (count, 2) else f"of shape {actions.shape}"
        raise ActionError(f"the policy's actions are {bad}", remedy=f"return finite joint speeds [{count}, 2]")
    return actions
