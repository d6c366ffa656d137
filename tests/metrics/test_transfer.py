"""Transfer numbers: the fixtures of the protocol, hand-computed cases and symmetry of direction."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import (
    absolute_gap,
    best_real_only,
    forgetting,
    gap_closed,
    negative_transfer,
    sim_retention,
    transfer_ratio,
)

positive = st.floats(1e-3, 1e3)
UP = {"direction": "higher"}
DOWN = {"direction": "lower"}


# PeopleSansPeople README, COCO person keypoint AP, synthetic-pretrained, over the best real-only 65.10. The protocol
# prints .713 .848 .973 1.026, the last two cut and not rounded.
@pytest.mark.parametrize(("ap", "ratio"), [(46.40, 0.71275), (55.21, 0.84808), (63.38, 0.97358), (66.83, 1.02657)])
def test_ratio_of_people_sans_people(ap, ratio):
    real_only = {"641": 23.51, "6411": 45.99, "32057": 60.28, "64115": 65.10}
    recipe, best = best_real_only(real_only, **UP)
    result = transfer_ratio(ap, best, recipe=recipe, **UP)
    assert result.value == pytest.approx(ratio, abs=1e-5)
    assert (result.denominator, result.recipe) == (65.10, "64115")


@pytest.mark.parametrize(("score", "ratio"), [(72, 0.774), (85, 0.914), (91, 0.978), (93, 1)])
def test_ratio_of_the_blog_curve(score, ratio):
    assert transfer_ratio(score, 93, recipe="real-only", **UP).value == pytest.approx(ratio, abs=5e-4)


def test_gap_of_the_blog():
    assert absolute_gap(72, 95, **UP) == -23


def test_errors_go_the_right_way_round():
    assert transfer_ratio(0.2, 0.1, recipe="oracle", **DOWN).value == pytest.approx(0.5)
    assert sim_retention(0.2, 0.05, **DOWN) == pytest.approx(0.25)
    assert absolute_gap(0.2, 0.05, **DOWN) == pytest.approx(-0.15)
    assert gap_closed(0.3, 0.5, 0.1, **DOWN) == pytest.approx(0.5)
    assert forgetting(0.1, 0.4, **DOWN) == pytest.approx(0.3)
    assert best_real_only({"a": 0.3, "b": 0.1}, **DOWN) == ("b", 0.1)


def test_higher_is_better_by_hand():
    assert gap_closed(90, 64, 99, **UP) == pytest.approx(26 / 35)
    assert gap_closed(60, 64, 99, **UP) < 0
    assert sim_retention(72, 96, **UP) == 0.75
    assert forgetting(0.99, 0.90, **UP) == pytest.approx(0.09)


@pytest.mark.parametrize(("oracle", "direction"), [(64, "higher"), (63, "higher"), (64, "lower"), (65, "lower")])
def test_no_gap_to_close(oracle, direction):
    with pytest.raises(UndefinedMetricError, match="no gap") as caught:
        gap_closed(70, 64, oracle, direction=direction)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("score", "reference", "direction"),
    [(1, 0, "higher"), (-1, 2, "higher"), (0, 1, "lower"), (1, -1, "lower"), (float("nan"), 1, "higher")],
)
def test_undefined_ratios(score, reference, direction):
    with pytest.raises(UndefinedMetricError):
        transfer_ratio(score, reference, recipe="r", direction=direction)
    with pytest.raises(UndefinedMetricError):
        sim_retention(score, reference, direction=direction)


def test_a_ratio_needs_its_recipe_and_a_direction():
    with pytest.raises(UndefinedMetricError, match="recipe"):
        transfer_ratio(1, 1, recipe=" ", **UP)
    with pytest.raises(UndefinedMetricError, match="direction"):
        transfer_ratio(1, 1, recipe="r", direction=None)
    with pytest.raises(UndefinedMetricError, match="direction"):
        absolute_gap(1, 1, direction=None)
    with pytest.raises(UndefinedMetricError):
        best_real_only({}, **UP)


def test_negative_transfer_names_the_stages():
    stages = {"pretrain": 64.3, "align": 59.2, "finetune": 70.0}
    harm = negative_transfer(stages, source_only=64.3, real_only=71.0, **UP)
    assert harm.stages == ("align",)
    assert harm.below_real_only is True
    assert "align" in str(harm)
    assert "real-only" in str(harm)
    assert negative_transfer(stages, source_only=64.3, real_only=65.0, **UP).below_real_only is False
    fine = negative_transfer({"align": 93.0}, source_only=64.3, real_only=50.0, **UP)
    assert (fine.stages, fine.below_real_only, str(fine)) == ((), False, "none")
    assert negative_transfer(stages, source_only=64.3, **UP).below_real_only is None
    assert "not compared" in str(negative_transfer(stages, source_only=64.3, **UP))
    with pytest.raises(UndefinedMetricError):
        negative_transfer({}, source_only=1, **UP)


@given(positive, positive, positive)
def test_turning_the_direction(score, reference, other):
    ratio = transfer_ratio(score, reference, recipe="r", **UP).value
    assert transfer_ratio(1 / score, 1 / reference, recipe="r", **DOWN).value == pytest.approx(ratio)
    assert absolute_gap(score, reference, **UP) == absolute_gap(-score, -reference, **DOWN)
    assert forgetting(score, reference, **UP) == -forgetting(reference, score, **UP)
    assume(reference > other + 1e-3)
    assert gap_closed(score, other, reference, **UP) == gap_closed(-score, -other, -reference, **DOWN)


@given(positive, positive, positive, st.sampled_from(["higher", "lower"]))
def test_a_better_score_never_has_a_smaller_number(first, second, reference, direction):
    worse, better = sorted((first, second), reverse=direction == "lower")
    values = [transfer_ratio(score, reference, recipe="r", direction=direction).value for score in (worse, better)]
    assert values == sorted(values)
    gaps = [absolute_gap(score, reference, direction=direction) for score in (worse, better)]
    assert gaps == sorted(gaps)


def test_ends_of_the_gap():
    assert gap_closed(64, 64, 99, **UP) == 0
    assert gap_closed(99, 64, 99, **UP) == 1
