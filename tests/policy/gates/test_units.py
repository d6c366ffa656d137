"""Quantities: converted, or refused by name."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates.units import UNITS, parse_quantity, si_unit


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("0.2 m/s", "speed", 0.2),
        ("200 mm/s", "speed", 0.2),
        ("20cm/s", "speed", 0.2),
        ("-90 deg", "angle", -math.pi / 2),
        ("30 rpm", "angular speed", math.pi),
        ("1.5e2 ms", "time", 0.15),
        (".5 kN", "force", 500.0),
        ("20 N/mm", "stiffness", 20_000.0),
        ("95 %", "share", 0.95),
    ],
)
def test_conversions_by_hand(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "value",
    [0.2, 3, True, None, [1], "fast", "", "0.2", "0.2 m", "0,2 m/s", "nan m/s", "inf m/s", "1e999 m/s", "0.2 M/S"],
)
def test_what_is_no_speed_is_refused(value: object) -> None:
    with pytest.raises(GateError, match=r"gate.yaml: .*\(key: limit\)") as caught:
        parse_quantity(value, "speed", where="gate.yaml", key="limit")
    assert "m/s" in str(caught.value.remedy)


@given(st.sampled_from(sorted(UNITS)), st.data(), st.floats(-1e6, 1e6))
def test_every_unit_converts_to_the_first(dimension: str, data: st.DataObject, number: float) -> None:
    unit = data.draw(st.sampled_from(sorted(UNITS[dimension])))
    assert parse_quantity(f"{number!r} {unit}", dimension) == number * UNITS[dimension][unit]
    assert UNITS[dimension][si_unit(dimension)] == 1
