"""Sign-flip test against scipy and a loop over all signs; Holm by hand and against its definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perceptransfer.core.errors import UndefinedMetricError
from perceptransfer.metrics import compare_arms, group_counts, holm, sign_flip_test


def slow_sign_flip(differences):
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return np.mean([value >= abs(sum(differences)) - 1e-9 for value in sums])


@pytest.mark.parametrize(("seeds", "smallest"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_smallest_p(seeds, smallest):
    result = sign_flip_test([1.0 + k for k in range(seeds)], min_seeds=1)
    assert result.p == result.smallest_p == smallest


def test_under_six_seeds_is_a_result_and_not_a_crash():
    result = sign_flip_test([0.1] * 5)
    assert (result.p, result.testable, result.seeds) == (None, False, 5)
    assert str(result).startswith("not testable (5 seeds")
    assert result.mean == pytest.approx(0.1)
    assert sign_flip_test([0.1] * 6).testable


@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy_and_the_loop(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, 9)
    theirs = stats.permutation_test(
        (differences, np.zeros(9)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    ours = sign_flip_test(list(differences)).p
    assert ours == pytest.approx(theirs.pvalue)
    assert ours == pytest.approx(slow_sign_flip(differences))


def test_many_pairs_are_sampled():
    differences = np.random.default_rng(1).normal(0.3, 1, 25)
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    assert sign_flip_test(list(differences)).p == pytest.approx(2 * stats.norm.sf(z), abs=0.03)
    assert sign_flip_test([1.0] * 40).p == pytest.approx(1 / 100_001)


def test_twenty_pairs_are_enumerated():
    assert sign_flip_test([1.0] * 20).p == 2 / 2**20


@given(st.lists(st.integers(-5, 5), min_size=6, max_size=10), st.randoms())
def test_p_is_a_probability_blind_to_order_sign_and_scale(differences, random):
    p = sign_flip_test(differences).p
    assert sign_flip_test(differences).smallest_p <= p <= 1
    assert sign_flip_test([-value for value in differences]).p == p
    assert sign_flip_test([0.1 * value for value in differences]).p == p
    assert sign_flip_test(random.sample(differences, len(differences))).p == p
    assert p == pytest.approx(slow_sign_flip(differences))


def test_no_difference_at_all():
    assert sign_flip_test([0.0] * 6).p == 1
    for differences in ([], [np.nan] * 6):
        with pytest.raises(UndefinedMetricError):
            sign_flip_test(differences)


def test_holm_by_hand():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert list(holm({"z": 0.5, "a": 0.9})) == ["z", "a"]
    assert holm({}) == {}
    with pytest.raises(UndefinedMetricError):
        holm({"a": 1.2})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    adjusted = holm({str(k): p for k, p in enumerate(p_values)})
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = list(
        itertools.takewhile(lambda rank: p_values[order[rank]] * (len(p_values) - rank) <= level, range(len(p_values)))
    )
    assert {name for name, p in adjusted.items() if p <= level} == {str(order[rank]) for rank in rejected}
    assert all(p <= adjusted[str(k)] <= 1 for k, p in enumerate(p_values))


def test_arms_against_a_reference():
    rng = np.random.default_rng(0)
    reference = rng.random((6, 200)) < 0.6
    arms = {
        "better": group_counts(reference | (rng.random((6, 200)) < 0.4)),
        "same": group_counts(reference),
    }
    result = compare_arms(arms, group_counts(reference), direction="higher", draws=500)
    better, same = result["better"], result["same"]
    assert better.difference > 0
    assert better.interval.low > 0
    assert (better.test.p, better.test.p_holm) == (0.03125, 0.0625)
    assert (same.difference, same.test.p, same.test.p_holm) == (0, 1, 1)
    assert "Holm" in str(better.test)
    errors = compare_arms(arms, group_counts(reference), direction="lower", draws=500)
    assert errors["better"].difference == -better.difference


def test_untestable_arms_stay_outside_holm():
    values = np.random.default_rng(1).random((3, 50)) < 0.5
    result = compare_arms({"a": group_counts(values)}, group_counts(~values), direction="higher", draws=100)
    assert (result["a"].test.p, result["a"].test.p_holm, result["a"].interval.seeds) == (None, None, 3)
