"""The report: exact round trip, what it must say, and its making from counts."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    Direction,
    Estimate,
    Interval,
    NegativeTransfer,
    SignFlip,
    TransferReport,
    bootstrap_draws,
    group_counts,
    seed_scores,
    transfer_report,
    with_interval,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
intervals = st.builds(Interval, floats, floats, floats, st.integers(1, 9), st.integers(1, 10_000), floats)
estimates = st.builds(
    Estimate, st.none() | floats, st.text(min_size=1), st.none() | floats, st.none() | floats, st.none() | intervals
)
named = st.dictionaries(st.text(), estimates, max_size=3)
reports = st.builds(
    TransferReport,
    task=st.text(),
    metric=st.text(),
    direction=st.sampled_from(Direction),
    seeds=st.lists(st.integers(0, 99), min_size=1).map(tuple),
    n_test=st.integers(0, 10_000),
    scores=named,
    transfer=named,
    denominator_recipe=st.text(min_size=1),
    efficiency=named,
    forgetting=named,
    per_class=st.dictionaries(st.text(), st.none() | floats, max_size=3),
    tests=st.dictionaries(st.text(), st.builds(SignFlip, floats, st.integers(1, 9), floats, st.none() | floats)),
    negative_transfer=st.none()
    | st.builds(NegativeTransfer, st.lists(st.text()).map(tuple), st.none() | st.booleans()),
    notes=st.lists(st.text()).map(tuple),
)


@given(reports)
def test_json_round_trip_is_exact(report):
    again = TransferReport.from_json(report.to_json())
    assert again == report
    assert again.to_markdown() == report.to_markdown()
    assert again.direction is report.direction


def made(**changes):
    rng = np.random.default_rng(0)
    arms = {name: group_counts(rng.random((6, 100)) < share) for name, share in (("s", 0.6), ("o", 0.97))}
    base = {
        "task": "class", "metric": "accuracy", "direction": "higher", "seeds": range(6), "source_only": arms["s"],
        "real_only": arms["o"], "recipe": "A at 100 %, 400 steps", "synthetic": seed_scores([0.99] * 6), "draws": 400,
    }  # fmt: skip
    return transfer_report(group_counts(rng.random((6, 100)) < 0.9), **base | changes)


def test_numbers_of_a_made_report():
    report = made(real_only_same_labels=0.5)
    real, source, oracle = (report.scores[name].value for name in ("real", "source_only", "real_only"))
    assert report.transfer["absolute_gap"].value == pytest.approx(real - 0.99)
    assert report.transfer["transfer_ratio"].value == pytest.approx(real / oracle)
    assert report.transfer["gap_closed"].value == pytest.approx((real - source) / (oracle - source))
    assert report.transfer["sim_retention"].value == pytest.approx(real / 0.99)
    for estimate in (*report.scores.values(), *report.transfer.values()):
        assert estimate.interval.low <= estimate.value <= estimate.interval.high
        assert estimate.interval.seeds == 6
    assert report.negative_transfer == NegativeTransfer((), False)
    assert report.tests["source_only"].p == 0.03125
    assert report.tests["source_only"].mean > 0 > report.tests["real_only"].mean
    assert made(direction="lower").tests["source_only"].mean < 0
    assert (report.n_test, report.seeds) == (100, (0, 1, 2, 3, 4, 5))


def test_markdown_says_what_must_be_said():
    text = made().to_markdown()
    for part in ("higher is better", "6 seeds", "100 test items", "A at 100 %, 400 steps", "negative transfer", "95%"):
        assert part in text
    few = TransferReport("class", "accuracy", Direction.HIGHER, (0, 1, 2), 5, {"real": Estimate(0.5)})
    assert "not testable" in str(few)
    assert "negative transfer: not checked" in str(few)
    censored = TransferReport(
        "class", "acc", Direction.HIGHER, (0,), 5, {}, efficiency={"n_to_98": Estimate(None, "a|b", above=1000)}
    )
    assert "| n_to_98 | > 1000 | | a\\|b |" in " ".join(str(censored).split(" ")).replace("|  |", "| |")


def test_missing_arms_leave_a_reason():
    report = made(synthetic=None, source_only=None, real_only=None, recipe=None)
    assert {item.value for item in report.transfer.values()} == {None}
    assert "synthetic" in report.transfer["absolute_gap"].reason
    assert "source_only and no real_only" in report.transfer["gap_closed"].reason
    assert report.denominator_recipe is None
    assert report.negative_transfer is None


def test_an_oracle_below_source_only_leaves_a_reason():
    report = made(real_only=group_counts(np.zeros((6, 100)) + (np.arange(100) < 20)))
    assert "no gap to close" in report.transfer["gap_closed"].reason
    assert report.transfer["transfer_ratio"].value > 1


def test_draws_without_a_value_are_counted():
    arms = {"a": seed_scores([0.5, 0.7]), "b": seed_scores([0.4, 0.7])}

    def gap(a, b):
        if a <= b:
            raise UndefinedMetricError("no gap")
        return a - b

    drawn = bootstrap_draws(arms, draws=2000)
    estimate = with_interval(gap, arms, drawn)
    assert estimate.value == pytest.approx(0.05)
    assert estimate.interval.defined == pytest.approx(0.75, abs=0.05)  # both draws of the second seed: a quarter


def test_bad_reports_are_refused():
    for changes in ({"direction": None}, {"seeds": [1]}, {"recipe": None}, {"source_only": seed_scores([0.5])}):
        with pytest.raises(UndefinedMetricError):
            made(**changes)
    base = {"task": "t", "metric": "m", "direction": "higher", "seeds": (0,), "n_test": 1, "scores": {}}
    for changes in (
        {"seeds": ()},
        {"direction": "up"},
        {"transfer": {"transfer_ratio": Estimate(1.0)}},
        {"per_class": {"a": math.nan}},
    ):
        with pytest.raises(UndefinedMetricError):
            TransferReport(**base | changes)
    whole = json.loads(TransferReport(**base).to_json())
    for text in ("", "null", "[]", "{}", json.dumps(whole | {"extra": 1}), json.dumps(whole | {"scores": {"a": 1}})):
        with pytest.raises(UndefinedMetricError, match="not a transfer report"):
            TransferReport.from_json(text)
