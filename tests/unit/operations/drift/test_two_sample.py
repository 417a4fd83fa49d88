"""Two samples: PSI by hand, the tests against worked examples and scipy, Holm against R's p.adjust."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streamflow.operations.drift.two_sample import chi_square, decile_counts, holm, kolmogorov_smirnov, psi

COUNTS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=12)
NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=40).map(lambda values: np.array(values, float))
P_VALUES = st.lists(st.floats(0, 1), max_size=30)


def random(seed=1):
    return np.random.default_rng(seed)


def test_psi_of_halves_against_a_quarter_and_three_is_that_of_the_formula():
    # Half a user more in each bin: 50.5 of 101 against 25.5 and 75.5 of 101.
    quarter, rest = 25.5 / 101, 75.5 / 101
    expected = (quarter - 0.5) * math.log(quarter / 0.5) + (rest - 0.5) * math.log(rest / 0.5)
    assert expected == pytest.approx(0.268677, abs=1e-6)
    assert psi([50, 50], [25, 75]) == pytest.approx(expected, rel=1e-12)


def test_psi_of_an_empty_bin_is_finite_and_a_bin_that_both_leave_empty_does_not_count():
    # 100.5 and 0.5 of 101 against 50.5 and 50.5: 50 / 101 (ln(100.5 / 50.5) + ln(50.5 / 0.5)).
    assert psi([100, 0], [50, 50]) == pytest.approx(50 / 101 * math.log(201), rel=1e-12)
    assert psi([100, 0, 0], [50, 0, 50]) == psi([100, 0], [50, 50])
    assert psi([], []) == psi([0], [0]) == 0


def test_psi_of_normals_is_about_the_squared_distance_of_their_means():
    values = random().normal(size=1_000_000)
    for distance in (0.1, 0.3, 0.5):
        found = psi(*decile_counts(values, values + distance))
        assert found == pytest.approx(distance**2, rel=0.1)


@given(COUNTS)
def test_psi_is_never_negative_and_nothing_between_equal_counts(pairs):
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert psi(before, after) >= 0
    assert psi(before, before) == 0
    assert psi(before, after) == pytest.approx(psi(after, before), rel=1e-9)


@given(COUNTS, st.randoms())
def test_psi_does_not_ask_for_names_or_order_of_the_categories(pairs, shuffler):
    other = pairs[:]
    shuffler.shuffle(other)
    assert psi(*split(pairs)) == psi(*split(other))


def split(pairs):
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_deciles_of_a_hundred_numbers_hold_ten_each_with_their_upper_edge():
    before, after = decile_counts(np.arange(1.0, 101), np.array([10.0, 10.5, 1000, math.nan]))
    assert before == [*[10] * 10, 0]
    assert after == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_few_values_have_a_bin_each():
    values = np.repeat([0.0, 1, 2], [70, 20, 10])
    assert decile_counts(values, np.array([0.0, 1, 1, 2])) == ([0, 70, 20, 10, 0], [0, 1, 2, 1, 0])


@pytest.mark.parametrize("other", [19.0, 31.0])
def test_a_constant_that_rises_or_falls_is_seen(other):
    constant = np.full(1000, 29.14)
    assert psi(*decile_counts(constant, constant)) == 0
    assert psi(*decile_counts(constant, np.full(1000, other))) > 10


@given(NUMBERS, NUMBERS)
def test_every_number_and_every_null_is_in_one_bin(reference, current):
    before, after = decile_counts(reference, current)
    assert (sum(before), sum(after)) == (reference.size, current.size)
    assert (before[-1], after[-1]) == (np.isnan(reference).sum(), np.isnan(current).sum())
    assert psi(before, after) >= 0
    same = decile_counts(reference, reference)
    assert psi(*same) == 0


def test_kolmogorov_smirnov_of_four_numbers_moved_by_two_is_a_half():
    assert kolmogorov_smirnov(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6, math.nan]))[0] == 0.5


def test_kolmogorov_smirnov_is_that_of_scipy():
    one, two = random(1).normal(size=700), random(2).normal(0.2, size=900)
    expected = stats.ks_2samp(one, two, method="asymp")
    assert kolmogorov_smirnov(one, two) == (expected.statistic, expected.pvalue)
    assert kolmogorov_smirnov(one, two)[1] == pytest.approx(stats.ks_2samp(one, two, method="exact").pvalue, rel=0.1)


def test_ties_make_kolmogorov_smirnov_conservative():
    of_coins = [
        kolmogorov_smirnov(*(random(seed).integers(0, 2, (2, 400)).astype(float)))[1] < 0.05 for seed in range(200)
    ]
    assert sum(of_coins) <= 2  # 10 of 200 by its name


@pytest.mark.parametrize("empty", [[], [math.nan, math.nan]])
def test_a_column_of_nothing_but_null_differs_by_no_test_of_numbers(empty):
    nothing, something = np.array(empty, float), np.arange(5.0)
    for pair in ((nothing, something), (something, nothing), (nothing, nothing)):
        assert kolmogorov_smirnov(*pair) == (0.0, 1.0)


def test_chi_square_of_a_worked_table():
    # 15 expected in each of the four cells: 4 * 25 / 15.
    statistic, p_value = chi_square([10, 20, 0], [20, 10, 0])
    assert statistic == pytest.approx(20 / 3)
    assert p_value == pytest.approx(0.0098, abs=1e-4)


def test_chi_square_of_one_category_or_of_nobody_says_nothing():
    assert chi_square([5, 0], [7, 0]) == chi_square([], []) == chi_square([0, 0], [3, 4]) == (0.0, 1.0)


def test_holm_of_a_worked_example():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(P_VALUES)
def test_adjusted_p_values_are_at_least_the_p_values_keep_their_order_and_end_at_one(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    in_order = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


@given(P_VALUES.filter(bool))
def test_holm_takes_the_smallest_as_bonferroni_does_and_no_other_more_strictly(p_values):
    adjusted = holm(p_values)
    assert min(adjusted) == min(1, len(p_values) * min(p_values))
    assert all(q <= min(1, len(p_values) * p) for p, q in zip(p_values, adjusted, strict=True))
