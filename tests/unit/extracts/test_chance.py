"""The exact probabilities behind the limits on a month, by hand: what chance brings once in a million is the border."""

from math import comb

import pyarrow as pa
import pytest

from streamflow.extracts.chance import is_constant, is_larger, is_more, is_rate_higher


@pytest.mark.parametrize(
    ("count", "users", "share", "expected"),
    [
        (20, 20, 0.5, True),  # 2 ** -20 is 0.95 in a million
        (19, 19, 0.5, False),
        (27, 30, 0.5, False),  # 4,526 of 2 ** 30 are 4.2 in a million
        (28, 30, 0.5, True),  # 466 of 2 ** 30
        (50, 100, 0.5, False),
        (0, 7043, 0.002, False),
    ],
)
def test_a_share_counts_from_one_in_a_million_on(count, users, share, expected):
    assert is_more(count, users, share) is expected


@pytest.mark.parametrize("rows", [20, 1000, 7043])
@pytest.mark.parametrize("others", range(0, 21))
def test_a_column_is_constant_by_chance_if_the_others_could_all_lie_in_the_month_before(rows, others):
    chance = comb(rows, others) / comb(2 * rows, others)
    assert is_constant(rows, rows, others) is (chance < 1e-6)


def test_twenty_others_are_enough_in_months_of_one_size_and_fewer_if_the_month_is_larger():
    assert [is_constant(7043, 7043, others) for others in (19, 20)] == [False, True]
    assert [is_constant(21_129, 7043, others) for others in (9, 10)] == [False, True]  # 4 ** -10 is 0.95 in a million


@pytest.mark.parametrize(
    ("times", "enough"),
    [(1, 20), (3, 49)],  # 0.5 ** 20 and 0.75 ** 49
)
def test_a_rate_is_higher_if_chance_would_have_put_some_into_the_other_month(times, enough):
    assert is_rate_higher(enough, 1000, 0, 1000, times)
    assert not is_rate_higher(enough - 1, 1000, 0, 1000, times)
    assert not is_rate_higher(0, 1000, 0, 1000, times)
    assert not is_rate_higher(300, 1000, 100, 1000, 3)


def test_values_are_larger_if_chance_would_have_put_some_below_the_common_median():
    for count, expected in ((11, False), (12, True)):  # 1 of comb(22, 11) is 1.4 in a million
        now, then = pa.array([51.0 + each for each in range(count)]), pa.array([1 + each % 10 for each in range(count)])
        assert is_larger(now, then, 5) is expected
        assert is_larger(then, now, 0.1) is False
