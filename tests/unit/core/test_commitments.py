"""Commitments to rows: equal tables have equal roots, and what is left of a table proves itself."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.arrow import without_users
from streamflow.core.commitments import commitments_sha256, root_of, row_commitments, row_salts

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ROWS = st.dictionaries(
    TEXT.filter(bool), st.tuples(st.none() | TEXT, st.none() | st.floats(allow_nan=False)), min_size=1, max_size=6
)


def table(rows):
    users = sorted(rows, key=str.encode)
    texts, numbers = ([rows[user][at] for user in users] for at in (0, 1))
    kinds = (pa.string(), pa.string(), pa.float64())
    return pa.table(
        [pa.array(v, k) for v, k in zip((users, texts, numbers), kinds, strict=True)], ["user_id", "t", "n"]
    )


def test_the_root_of_a_known_table_stays_what_it_was():
    rows = table({"a": ("x", 1.5), "b": (None, None)})
    assert commitments_sha256(rows) == "1f82a7dbcc2aa7f5067972345977eba2d40b70956ac84be2d326e20a04bc32b4"
    assert len({*row_salts(rows), *row_commitments(rows, row_salts(rows))}) == 4


@given(ROWS, st.data())
def test_what_is_left_and_the_commitments_of_what_is_gone_make_the_root(rows, data):
    whole = table(rows)
    gone = data.draw(st.sets(st.sampled_from(sorted(rows))))
    salts = row_salts(whole)
    commitments = row_commitments(whole, salts)
    users = whole["user_id"].to_pylist()
    kept = [salt for user, salt in zip(users, salts, strict=True) if user not in gone]
    left = row_commitments(without_users(whole, gone), kept)
    tombstones = [each for user, each in zip(users, commitments, strict=True) if user in gone]
    assert root_of(whole.column_names, [*left, *tombstones]) == commitments_sha256(whole)


@given(ROWS, ROWS)
def test_tables_that_differ_have_different_roots(one, other):
    assert (commitments_sha256(table(one)) == commitments_sha256(table(other))) == table(one).equals(table(other))


@pytest.mark.parametrize("value", ["a\nb", 'a"\n"b', "\\n", "a,b", ""])
def test_a_line_feed_within_a_value_makes_no_line(value):
    rows = table({"a": (value, 1.0), "b": ("x", 2.0)})
    assert len(row_commitments(rows, row_salts(rows))) == 2
    assert commitments_sha256(rows) != commitments_sha256(table({"a": (value + "x", 1.0), "b": ("x", 2.0)}))


def test_the_salt_of_a_row_depends_on_all_rows():
    """Who has the rest can't compute the salt of a row that is gone."""
    one = row_salts(table({"a": ("x", 1.0), "b": ("y", 2.0)}))
    other = row_salts(table({"a": ("x", 1.0), "b": ("y", 3.0)}))
    assert one[0] != other[0]
