"""The columns of two months, each compared by hand."""

import math

import pyarrow as pa
import pytest

from streamflow.operations.drift.shifts import churn_rate, churn_scores, compare
from streamflow.operations.drift.two_sample import chi_square, decile_counts, kolmogorov_smirnov, psi


def month(**columns):
    users = len(next(iter(columns.values())))
    return pa.table({"user_id": [f"u{at}" for at in range(users)], "as_of": ["2024-01-31"] * users, **columns})


def shift(reference, current, kind=None):
    """One column of two months."""
    before, after = (month(x=pa.array(values, kind)) for values in (reference, current))
    (found,) = compare(before, after)
    return found


def test_categories_that_occur_have_a_bar_each_in_the_order_of_their_names_null_last():
    found = shift(["b", "a", None, "b"], ["c", "a"], pa.string())
    assert found.histogram.bars == ("a", "b", "c", "NULL")
    assert found.histogram.reference == (0.25, 0.5, 0.0, 0.25)
    assert found.histogram.current == (0.5, 0.0, 0.5, 0.0)
    assert (found.name, found.test, found.nulls) == ("x", "chi-square", (0.25, 0.0))
    assert (found.statistic, found.p_value) == chi_square([1, 2, 0, 1], [1, 0, 1, 0])
    assert found.adjusted_p == found.p_value
    assert found.psi == psi([1, 2, 0, 1], [1, 0, 1, 0])


def test_booleans_are_categories():
    found = shift([True, False, True], [None, False, True])
    assert found.histogram.bars == ("False", "True", "NULL")


def test_few_numbers_have_a_bar_each_and_many_twenty_of_equal_width():
    few = shift([1, 2, 2, 40], [2, 2, 5, 5])
    assert few.histogram.bars == ("1", "2", "5", "40")
    assert few.histogram.current == (0.0, 0.5, 0.5, 0.0)
    many = shift([float(n) for n in range(41)], [float(n) for n in range(21)])
    assert len(many.histogram.bars) == 20
    assert many.histogram.bars[:2] == ("0 to 2", "2 to 4")
    assert many.histogram.reference[0] == 2 / 41
    assert many.histogram.reference[-1] == 3 / 41, "the last bar holds its upper edge"
    assert many.histogram.current[10:] == (1 / 21, *[0.0] * 9)
    twenty = shift([float(n) for n in range(20)], [0.0])
    assert (len(twenty.histogram.bars), twenty.histogram.bars[-1]) == (20, "19")
    assert shift([float(n) for n in range(21)], [0.0]).histogram.bars[0] == "0 to 1"


def test_a_number_is_tested_by_kolmogorov_smirnov_and_its_nulls_apart():
    reference, current = [1.0, 2.0, 3.0, 4.0, None, None], [3.0, 4.0, 5.0, 6.0, 7.0, None]
    found = shift(reference, current, pa.float64())
    before, after = (pa.array(values, pa.float64()).to_numpy(zero_copy_only=False) for values in (reference, current))
    statistic, p_value = kolmogorov_smirnov(before, after)
    _, of_nulls = chi_square([2, 4], [1, 5])
    assert (found.test, found.statistic) == ("KS", statistic)
    assert found.p_value == min(1.0, 2 * min(p_value, of_nulls))
    assert found.nulls == (2 / 6, 1 / 6)
    assert found.psi == psi(*decile_counts(before, after))
    assert found.histogram.bars[-1] == "NULL"
    assert (found.histogram.reference[-1], found.histogram.current[-1]) == (2 / 6, 1 / 6)
    whole = shift([1, 2, 3, 4], [3, 4, 5, 6])
    assert whole.p_value == kolmogorov_smirnov(before[:4], after[:4])[1]
    assert whole.nulls == (0.0, 0.0)


def test_nulls_alone_decide_where_the_numbers_are_the_same():
    found = shift([1.0] * 50 + [None] * 50, [1.0] * 90 + [None] * 10, pa.float64())
    assert found.p_value == 2 * chi_square([50, 50], [10, 90])[1]
    same = shift([1.0, None] * 9, [1.0, None] * 9, pa.float64())
    assert same.p_value == 1.0


def test_columns_are_compared_in_the_order_of_the_reference_and_adjusted_for_their_number():
    before = month(b=[1.0] * 30 + [2.0] * 30, a=["x"] * 30 + ["y"] * 30)
    after = month(a=["x"] * 45 + ["y"] * 15, b=[1.0] * 30 + [2.0] * 30)
    b, a = compare(before, after)
    assert (b.name, a.name) == ("b", "a")
    assert a.adjusted_p == pytest.approx(2 * a.p_value)
    assert b.adjusted_p == 1.0
    assert a.p_value < 0.05


def test_months_without_users_have_no_shares():
    found = shift([], [], pa.string())
    assert (found.histogram.bars, found.nulls, found.psi) == ((), (0.0, 0.0), 0.0)
    assert shift([], [], pa.float64()).nulls == (0.0, 0.0)


def test_the_churn_rate_is_of_the_users_whose_label_is_known():
    assert churn_rate(pa.chunked_array([[True, None, False, False]])) == pytest.approx(1 / 3)
    assert churn_rate(pa.chunked_array([[None]], pa.bool_())) == 0.0


def test_scores_are_those_of_the_model_in_the_order_of_the_rows():
    class ByFee:
        features = ()

        def score(self, values):
            assert list(values) == []
            return [0.5, math.pi], [0, 1]

    assert churn_scores(ByFee(), month(fee=[1.0, 2.0])).to_pylist() == [0.5, math.pi]
