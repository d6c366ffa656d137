"""From the counts of a few arms to a `TransferReport` with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import Floats
from perceptransfer.metrics.direction import Direction
from perceptransfer.metrics.estimate import Estimate, attempt
from perceptransfer.metrics.intervals import DRAWS, GroupCounts, bootstrap_draws, interval_of
from perceptransfer.metrics.report import TransferReport
from perceptransfer.metrics.significance import sign_flip_test
from perceptransfer.metrics.transfer import absolute_gap, gap_closed, negative_transfer, sim_retention, transfer_ratio


def with_interval(
    function: Callable[..., float],
    arms: Mapping[str, GroupCounts],
    drawn: Mapping[str, Floats],
) -> Estimate:
    """``function`` of the arms' mean scores, in the order of ``arms``, with its interval over the joint ``drawn``.

    Draws in which the function has no value lower the interval's ``defined``.
    """
    estimate = attempt(function, *(counts.score() for counts in arms.values()))
    if estimate.value is None:
        return estimate
    values = [attempt(function, *row).value for row in zip(*(drawn[name].tolist() for name in arms), strict=True)]
    draws = np.array([np.nan if value is None else value for value in values])
    if not np.isfinite(draws).any():
        return replace(estimate, reason="no interval: undefined in every draw")
    return replace(estimate, interval=interval_of(draws, seeds=next(iter(arms.values())).seeds))


def transfer_report(
    real: GroupCounts,
    *,
    task: str,
    metric: str,
    direction: Direction | str | None,
    seeds: Sequence[int],
    synthetic: GroupCounts | None = None,
    source_only: GroupCounts | None = None,
    real_only: GroupCounts | None = None,
    recipe: str | None = None,
    real_only_same_labels: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> TransferReport:
    """Report of one arm: ``real`` are its counts on the real test, the others what they are named after.

    ``synthetic`` is the same model on held-out synthetic images, ``source_only`` the arm before transfer,
    ``real_only`` the best real-only model at 100 % (the oracle), trained as ``recipe`` says, and
    ``real_only_same_labels`` the mean score of real-only training with this arm's labels. Arms are paired by seed. A
    number whose arm is missing is there with a reason.

    Raises:
        UndefinedMetricError: arms with other seeds, no direction, or ``real_only`` without ``recipe``.
    """
    way = Direction.parse(direction)
    given = {"real": real, "synthetic": synthetic, "source_only": source_only, "real_only": real_only}
    arms = {name: counts for name, counts in given.items() if counts is not None}
    if len(seeds) != real.seeds:
        raise UndefinedMetricError(f"{len(seeds)} seeds named, {real.seeds} scored", key="seeds")
    if real_only is not None and not recipe:
        raise UndefinedMetricError(
            "real-only counts without their recipe", key="recipe", remedy="say how the denominator was trained"
        )
    drawn = bootstrap_draws(arms, draws=draws, seed=seed)

    def number(function: Callable[..., float], *roles: str) -> Estimate:
        missing = [role for role in roles if role not in arms]
        if missing:
            return Estimate(None, f"no {' and no '.join(missing)} score")
        return with_interval(function, {role: arms[role] for role in roles}, drawn)

    harm = None
    if source_only is not None:
        harm = negative_transfer(
            {"transfer": real.score()}, source_only=source_only.score(), real_only=real_only_same_labels, direction=way
        )
    sign = 1.0 if way is Direction.HIGHER else -1.0
    return TransferReport(
        task=task,
        metric=metric,
        direction=way,
        seeds=tuple(seeds),
        n_test=real.n_items,
        scores={name: number(float, name) for name in given},
        transfer={name: number(function, *roles) for name, (function, roles) in _numbers(way, recipe or "").items()},
        denominator_recipe=recipe if real_only is not None else None,
        tests={
            name: sign_flip_test(list(sign * (real.scores() - arms[name].scores())))
            for name in ("source_only", "real_only")
            if name in arms
        },
        negative_transfer=harm,
    )


def _numbers(way: Direction, recipe: str) -> dict[str, tuple[Callable[..., float], tuple[str, ...]]]:
    """Function of mean scores and the roles of those scores, by the number's name."""
    return {
        "absolute_gap": (lambda r, s: absolute_gap(r, s, direction=way), ("real", "synthetic")),
        "transfer_ratio": (
            lambda r, o: transfer_ratio(r, o, recipe=recipe, direction=way).value,
            ("real", "real_only"),
        ),
        "gap_closed": (lambda r, s, o: gap_closed(r, s, o, direction=way), ("real", "source_only", "real_only")),
        "sim_retention": (lambda r, s: sim_retention(r, s, direction=way), ("real", "synthetic")),
    }
