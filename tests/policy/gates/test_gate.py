"""One decision per proposal: finite first, then fresh, then the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.policy.gates import CHANNELS, Constraint, Evidence, Gate, JointVelocity, Kind, Reading
from perceptransfer.policy.gates.evidence import Floats
from tests.policy.gates.arm import NOW, evidence, planar_gate

GATE = planar_gate()
STILL = np.zeros(2)
BAD = [math.nan, math.inf, -math.inf]


def kind(found: Evidence, action: object = STILL, now: float = NOW) -> Kind:
    return GATE.check(found, action, now).kind


def test_an_admissible_action_passes_untouched() -> None:
    action = np.array([0.3, -0.2])
    decision = GATE.check(evidence(), action, NOW)
    assert decision.kind is Kind.PASS and not decision.intervened and decision.correction == 0
    np.testing.assert_array_equal(decision.executed, action)
    assert decision.executed is not action, "a later change of the proposal must not reach the robot"
    assert decision.binding == () and decision.validity == () and decision.before == decision.after
    assert set(decision.before) == set(GATE.constraints) and max(decision.before.values()) <= 0


def test_g_by_hand() -> None:
    decision = GATE.check(evidence(joint_velocity=np.array([0.5, 0.0])), np.array([1.0, 0.0]), NOW)
    g = decision.before
    assert g["table"] == pytest.approx(0.2 + 0.2 * 0.4 + 0.015 - 0.40)
    assert g["joints"] == pytest.approx(0.1 - 1.0 + math.radians(1))
    assert g["joint_rate"] == pytest.approx(1.0 - 2.0)
    assert g["tool_rate"] == pytest.approx(0.2 - 0.45)
    assert g["people"] == pytest.approx(0.5 + 0.2 * 0.4 + 0.05 - 3.0)
    assert g["heat"] == pytest.approx(31 + 5 - 70)
    assert g["press"] == -15 and g["delay"] == pytest.approx(-0.18) and g["health"] == 0


def test_too_fast_is_clipped_and_judged_again() -> None:
    decision = GATE.check(evidence(), np.array([4.0, 0.0]), NOW)
    assert decision.kind is Kind.CLIP and set(decision.binding) == {"joint_rate", "tool_rate", "table"}
    assert decision.executed is not None and max(decision.after.values()) <= 0 < max(decision.before.values())
    # The wall asks for the slowest: (0.40 − 0.015 − 0.2) m within 0.4 s at 0.2 m/rad; the other joint stays still.
    np.testing.assert_allclose(decision.executed, [2.0, 0.0], rtol=2e-6)
    assert decision.correction == pytest.approx(2.0, rel=1e-5)


def test_clipping_slides_along_the_wall() -> None:
    at_wall = evidence(tool_position=np.array([0.38, 0.0]))
    decision = GATE.check(at_wall, np.array([1.0, 1.0]), NOW)
    assert decision.kind is Kind.CLIP and decision.executed is not None
    np.testing.assert_allclose(decision.executed, [0.005 / 0.4 / 0.2, 1.0], rtol=1e-3)


def test_from_inside_the_margin_a_clipped_command_leads_back() -> None:
    decision = GATE.check(evidence(joint_position=np.array([1.99, 1.0])), np.array([0.1, 0.0]), NOW)
    assert decision.kind is Kind.CLIP and decision.executed is not None and decision.executed[0] < 0


def test_what_clipping_cannot_mend_is_held() -> None:
    decision = GATE.check(evidence(joint_temperature=np.array([66.0, 20.0])), np.array([0.1, 0.0]), NOW)
    assert decision.kind is Kind.HOLD and decision.binding == ("heat",)
    np.testing.assert_array_equal(decision.executed, STILL)
    assert decision.correction == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("channel", "value", "name"),
    [
        ("joint_position", [2.01, 1.0], "joints"),
        ("joint_velocity", [-2.6, 0.0], "joint_rate"),
        ("joint_temperature", [20.0, 70.1], "heat"),
        ("tool_position", [0.2, -0.361], "table"),
        ("contact_force", [-9.0, 12.1], "press"),
        ("actuator_delay", 0.21, "delay"),
        ("actuator_delay", -0.001, "delay"),
        ("human_distance", 0.49, "people"),
        ("controller_health", 0.99, "health"),
    ],
)
@pytest.mark.parametrize("action", [STILL, np.array([math.nan, 0.0]), np.array([-0.1, 0.1])])
def test_a_state_outside_its_limit_stops_the_robot(channel: str, value: Any, name: str, action: Floats) -> None:
    decision = GATE.check(evidence(**{channel: np.array(value)}), action, NOW)
    assert decision.kind is Kind.STOP and decision.executed is None and name in decision.binding
    assert name in GATE.audit(evidence(**{channel: np.array(value)}), NOW).violated


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("joint", [0, 1])
def test_an_action_that_is_not_finite_is_held_not_clamped(bad: float, joint: int) -> None:
    action = STILL.copy()
    action[joint] = bad
    decision = GATE.check(evidence(), action, NOW)
    assert decision.kind is Kind.HOLD and decision.validity == ("action not finite",) and decision.correction is None
    np.testing.assert_array_equal(decision.executed, STILL)


@pytest.mark.parametrize(
    "action", [None, "fast", [1.0], [[0.0, 0.0]], [0.0, "x"], [[1], [1, 2]], np.array([True, False]), 1.0, [1j, 0j], {}]
)
def test_what_is_no_action_is_held(action: object) -> None:
    decision = GATE.check(evidence(), action, NOW)
    assert decision.kind is Kind.HOLD and "action" in decision.validity[0]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_reading_that_is_not_finite_stops(channel: str, bad: float) -> None:
    value = np.array(evidence().readings[channel].value)
    value.reshape(-1)[-1] = bad
    found = evidence(**{channel: value})
    decision = GATE.check(found, STILL, NOW)
    assert decision.kind is Kind.STOP and decision.validity == (f"{channel} not finite",) and decision.before == {}
    assert GATE.audit(found, NOW).validity == (f"{channel} not finite",)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_missing_or_misshapen_reading_stops(channel: str) -> None:
    full = evidence()
    without = Evidence({name: r for name, r in full.readings.items() if name != channel})
    assert GATE.check(without, STILL, NOW).validity == (f"{channel} missing",) and kind(without) is Kind.STOP
    for value in (np.zeros(3), np.zeros(2, np.float32), 0.0):
        broken = Evidence({**full.readings, channel: Reading(value, NOW)})  # type: ignore[arg-type]
        assert kind(broken) is Kind.STOP


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (0.0, None),
        (0.0999, None),
        (-0.004, None),
        (0.101, "stale"),
        (1e9, "stale"),
        (math.inf, "stale"),
        (-0.006, "from the future"),
        (-math.inf, "from the future"),
        (math.nan, "from the future"),
    ],
)
def test_stale_and_future_readings_stop(age: float, verdict: str | None) -> None:
    full = evidence()
    late = full.readings["tool_position"]._replace(time=NOW - age)
    decision = GATE.check(replace(full, readings={**full.readings, "tool_position": late}), STILL, NOW)
    assert decision.validity == (() if verdict is None else (f"tool_position {verdict}",))
    assert decision.kind is (Kind.PASS if verdict is None else Kind.STOP)


@pytest.mark.parametrize("now", BAD)
def test_a_broken_clock_stops(now: float) -> None:
    assert kind(evidence(), now=now) is Kind.STOP


def test_a_person_comes_before_everything() -> None:
    for found in (evidence(human=True), evidence(human=True, tool_position=np.array([math.nan, 0.0]))):
        decision = GATE.check(found, np.array([math.nan, 0.0]), NOW)
        assert decision.kind is Kind.HUMAN and decision.executed is None
    assert kind(replace(evidence(), human="no")) is Kind.HUMAN, "what is no plain False counts as a hand on the robot"


def test_the_nearer_a_person_the_slower() -> None:
    speeds = []
    for distance in (0.58, 0.62, 0.7):
        decision = GATE.check(evidence(human_distance=distance), np.array([1.95, 0.0]), NOW)
        assert decision.kind is Kind.CLIP and decision.executed is not None
        speeds.append(decision.executed[0] * 0.2)
    np.testing.assert_allclose(speeds, [(d - 0.55) / 0.4 for d in (0.58, 0.62, 0.7)], rtol=1e-5)


def test_pressing_further_is_slowed_and_backing_out_is_free() -> None:
    found = evidence(contact_force=np.array([11.0, 0.0]))
    pressing, retreat = (GATE.check(found, np.array([v, 0.0]), NOW) for v in (1.0, -1.0))
    assert pressing.kind is Kind.CLIP and pressing.binding == ("press",) and pressing.executed is not None
    assert 11 + 500 * 0.2 * pressing.executed[0] * 0.05 == pytest.approx(12, rel=1e-5)
    assert retreat.kind is Kind.PASS
    assert kind(evidence(contact_force=np.array([13.0, 0.0])), np.array([-1.0, 0.0])) is Kind.PASS


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_clipped_action_is_admissible_in_the_type_it_is_sent_in(dtype: type) -> None:
    rng = np.random.default_rng(0)
    clipped = 0
    for _ in range(300):
        decision = GATE.check(evidence(), rng.normal(0, 3, 2).astype(dtype), NOW)
        if decision.kind is Kind.CLIP and decision.executed is not None:
            clipped += 1
            np.testing.assert_array_equal(decision.executed.astype(dtype).astype(np.float64), decision.executed)
    assert clipped > 20


class Loud(Constraint):
    """A constraint with a mistake in it."""

    channels = ("tool_position",)

    def __init__(self, where: str = "measured") -> None:
        self.where, self.clip = where, True

    def measured(self, at: Mapping[str, Reading]) -> float:
        return -1.0 / (self.where != "measured")

    def proposed(self, at: Mapping[str, Reading], rate: Floats) -> float:
        return math.nan if self.where == "nan" else 1.0 / (self.where != "proposed")

    def clipped(self, at: Mapping[str, Reading], rate: Floats) -> Floats:
        return {"shape": np.zeros(5), "inf": rate * math.inf}.get(self.where, rate)


@pytest.mark.parametrize("where", ["measured", "proposed", "nan", "shape", "inf", "useless"])
def test_a_constraint_that_fails_blocks(where: str) -> None:
    gate = Gate(JointVelocity(2, 1.0), {"loud": Loud(where)}, max_age=0.1, tool_axes=2)
    decision = gate.check(evidence(), np.ones(2), NOW)
    assert decision.kind is (Kind.STOP if where == "measured" else Kind.HOLD) and "loud" in decision.binding
    assert any("ZeroDivisionError" in note for note in decision.validity) == (where in ("measured", "proposed"))


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-3, 3)


@given(st.lists(numbers, min_size=2, max_size=2), st.sampled_from(sorted(CHANNELS)), numbers, numbers, st.booleans())
def test_whatever_comes_there_is_one_decision_and_nothing_inadmissible_goes_out(
    action: list[float], channel: str, value: float, age: float, human: bool
) -> None:
    full = evidence(human=human)
    changed = np.array(full.readings[channel].value)
    changed.reshape(-1)[0] = value
    found = Evidence({**full.readings, channel: Reading(changed, NOW - age)}, human)
    decision = GATE.check(found, np.array(action), NOW)
    assert (decision.executed is None) == (decision.kind in (Kind.STOP, Kind.HUMAN))
    if decision.executed is not None:
        assert not GATE.audit(found, NOW).violated and not GATE.audit(found, NOW).validity
        if decision.kind is not Kind.HOLD:
            assert GATE.check(found, decision.executed, NOW).kind is Kind.PASS, "what goes out passes the gate"
    again = GATE.check(found, np.array(action), NOW)
    assert (again.kind, again.binding, again.before) == (decision.kind, decision.binding, decision.before)
