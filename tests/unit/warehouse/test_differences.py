"""Two states of a table, and the phrase that says what differs."""

import pyarrow as pa

from streamflow.warehouse.differences import describe_differences


def test_differences_name_columns_and_keys():
    before = pa.table({"user_id": ["a", "b", "c"], "fee": [1.0, 2.0, 3.0], "plan": [None, True, False]})
    after = pa.table({"user_id": ["a", "b", "d"], "fee": [1.5, 2.0, 3.0], "plan": [True, True, False]})
    assert describe_differences(before, after) == ("1 row changed in fee, plan (a); 1 row missing (c); 1 row added (d)")
    assert describe_differences(before, before) == "no row differs"
    many = pa.table({"user_id": [f"u{n}" for n in range(9)], "fee": [float(n) for n in range(9)]})
    none = many.slice(0, 0)
    assert describe_differences(many, none) == "9 rows missing (u0, u1, u2, u3, u4, …)"
