"""Two states of a table, and the phrase that says what differs."""

import pyarrow as pa
import pytest

from streamflow.warehouse.differences import describe_differences

BEFORE = pa.table({"user_id": ["a", "b", "c"], "fee": [1.0, 2.0, 3.0], "plan": [None, True, False]})


def test_differences_name_columns_and_keys():
    after = pa.table({"user_id": ["a", "b", "d"], "fee": [1.5, 2.0, 3.0], "plan": [True, True, False]})
    assert describe_differences(BEFORE, after) == "1 row changed in fee, plan (a); 1 row missing (c); 1 row added (d)"
    assert describe_differences(BEFORE, BEFORE) == "no row differs"
    assert describe_differences(BEFORE, BEFORE.take([2, 0, 1])) == "no row differs"


@pytest.mark.parametrize(
    ("count", "named"), [(1, "1 row missing (u0)"), (5, "5 rows missing (u0, u1, u2, u3, u4)"),
                         (9, "9 rows missing (u0, u1, u2, u3, u4, …)")],
)  # fmt: skip
def test_the_first_five_keys_are_named_in_their_order(count, named):
    many = pa.table({"user_id": [f"u{n}" for n in reversed(range(count))], "fee": [float(n) for n in range(count)]})
    assert describe_differences(many, many.slice(0, 0)) == named
    assert describe_differences(many.slice(0, 0), many) == named.replace("missing", "added")


def test_only_columns_that_differ_are_named_each_once():
    after = BEFORE.set_column(1, "fee", pa.array([1.0, 5.0, 6.0]))
    assert describe_differences(BEFORE, after) == "2 rows changed in fee (b, c)"
