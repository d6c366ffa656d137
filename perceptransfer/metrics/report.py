"""`TransferReport`: one arm's numbers with their intervals, seeds and direction, to JSON and back, and to Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics.arrays import finite
from perceptransfer.metrics.direction import Direction
from perceptransfer.metrics.estimate import Estimate, Interval
from perceptransfer.metrics.significance import MIN_SEEDS, SignFlip
from perceptransfer.metrics.transfer import NegativeTransfer


@dataclass(frozen=True)
class TransferReport:
    """What one way of training made of the gap, for one task.

    ``scores`` maps a role (``real``, ``synthetic``, ``source_only``, ``real_only``) to the mean over ``seeds``;
    ``transfer`` holds `absolute_gap`, `transfer_ratio`, `gap_closed` and `sim_retention` by these names;
    ``efficiency`` numbers such as ``n_to_95`` or ``savings_at_1``; ``forgetting`` is keyed by the earlier domain;
    ``tests`` by the reference arm. ``denominator_recipe`` says how the divisor of the transfer ratio was trained.
    Names are free: a missing number is an `Estimate` with a reason, not a missing key.

    Raises:
        UndefinedMetricError: no seeds, no direction, or a transfer ratio whose denominator has no recipe.
    """

    task: str
    metric: str
    direction: Direction
    seeds: tuple[int, ...]
    n_test: int
    scores: Mapping[str, Estimate]
    transfer: Mapping[str, Estimate] = field(default_factory=dict)
    denominator_recipe: str | None = None
    efficiency: Mapping[str, Estimate] = field(default_factory=dict)
    forgetting: Mapping[str, Estimate] = field(default_factory=dict)
    per_class: Mapping[str, float | None] = field(default_factory=dict)
    tests: Mapping[str, SignFlip] = field(default_factory=dict)
    negative_transfer: NegativeTransfer | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", Direction.parse(self.direction))
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        per_class = {key: None if value is None else finite(value, key) for key, value in self.per_class.items()}
        object.__setattr__(self, "per_class", per_class)
        if not self.seeds:
            raise UndefinedMetricError("a report without seeds", key="seeds")
        ratio = self.transfer.get("transfer_ratio")
        if ratio is not None and ratio.value is not None and not self.denominator_recipe:
            raise UndefinedMetricError("a transfer ratio without the recipe of its denominator", key="recipe")

    def to_json(self) -> str:
        """JSON (no NaN, no infinity) from which `from_json` makes an equal report."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TransferReport:
        """Inverse of `to_json`.

        Raises:
            UndefinedMetricError: the text is no report.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            for name in ("scores", "transfer", "efficiency", "forgetting"):
                data[name] = {key: _estimate(item) for key, item in data[name].items()}
            data["tests"] = {key: SignFlip(**item) for key, item in data["tests"].items()}
            harm = data["negative_transfer"]
            data["negative_transfer"] = harm and NegativeTransfer(tuple(harm["stages"]), harm["below_real_only"])
            data["seeds"], data["notes"] = tuple(data["seeds"]), tuple(data["notes"])
            return cls(**data)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise UndefinedMetricError(
                f"not a transfer report ({error!r})", remedy="read a file that TransferReport.to_json wrote"
            ) from error

    def to_markdown(self) -> str:
        """A heading line, one table of all numbers with intervals, and what must always be said."""
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        lines = [
            f"**{self.task}**: {self.metric} ({self.direction} is better), {seeds}, {self.n_test} test items",
            "",
            "| number | value | interval | remark |",
            "|---|---|---|---|",
        ]
        groups = {"": self.scores, " ": self.transfer, "  ": self.efficiency, "forgetting ": self.forgetting}
        lines += [_row(prefix.lstrip() + name, item) for prefix, part in groups.items() for name, item in part.items()]
        lines += [f"| class {name} | {_number(value)} | | |" for name, value in self.per_class.items()]
        lines += [""]
        if self.denominator_recipe:
            lines.append(f"- denominator of the transfer ratio: {self.denominator_recipe}")
        lines.append(f"- negative transfer: {self.negative_transfer or 'not checked'}")
        lines += [f"- difference to {name}: {test}" for name, test in self.tests.items()]
        if len(self.seeds) < MIN_SEEDS and not self.tests:
            lines.append(f"- differences between arms: not testable ({seeds}, at least {MIN_SEEDS} needed)")
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)]) + "\n"

    def __str__(self) -> str:
        return self.to_markdown()


def _estimate(item: dict[str, Any]) -> Estimate:
    interval = item.pop("interval")
    return Estimate(**item, interval=None if interval is None else Interval(**interval))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _row(name: str, item: Estimate) -> str:
    bounds = [f"> {item.above:.4g}"] if item.above is not None else []
    bounds += [f"≤ {item.at_most:.4g}"] if item.at_most is not None else []
    value = ", ".join(bounds) if item.value is None and bounds else _number(item.value)
    interval = ""
    if item.interval is not None:
        span = item.interval
        interval = f"{span.low:.4g} … {span.high:.4g} ({span.level:.0%})"
        interval += f", defined in {span.defined:.0%} of draws" if span.defined < 1 else ""
    remark = (item.reason or "").replace("|", "\\|")
    return f"| {name} | {value} | {interval} | {remark} |"
