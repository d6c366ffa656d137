"""Directions are declared, never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import Direction, is_better, orient

numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("value", [None, "", "up", "accuracy", 1, ["higher"]])
def test_an_undeclared_direction_is_refused(value):
    with pytest.raises(UndefinedMetricError, match="direction") as caught:
        Direction.parse(value)
    assert isinstance(caught.value, ValueError)
    assert caught.value.remedy


def test_strings_and_members_are_the_same_direction():
    assert Direction.parse("lower") is Direction.LOWER is Direction.parse(Direction.LOWER)
    assert orient(3.0, "higher") == 3.0
    assert orient(3.0, "lower") == -3.0


@given(numbers, numbers)
def test_negating_scores_and_direction_keeps_the_order(a, b):
    assert is_better(a, b, "higher") == is_better(-a, -b, "lower")
    assert not (is_better(a, b, "lower") and is_better(b, a, "lower"))
