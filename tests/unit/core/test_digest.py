"""Content digests see the content and nothing else."""

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.digest import RowsDigest, bytes_sha256, mapping_sha256, rows_sha256
from streamflow.pipeline.file_digest import tree_sha256

ROWS = st.lists(
    st.tuples(
        st.text(max_size=8),
        st.none() | st.integers(-(2**53), 2**53),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    min_size=1,
    max_size=30,
)
SCHEMA = pa.schema([("key", pa.string()), ("count", pa.int64()), ("value", pa.float64())])


def table(rows):
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)], SCHEMA
    )


@given(ROWS, st.integers(1, 7))
def test_how_rows_are_cut_into_batches_does_not_matter(rows, size):
    digest = RowsDigest(SCHEMA)
    assert sum(batch.num_rows for batch in digest.through(table(rows).to_batches(max_chunksize=size))) == len(rows)
    assert digest.hexdigest() == rows_sha256(table(rows))


@given(ROWS, ROWS)
def test_equal_digests_mean_equal_rows(one, other):
    if rows_sha256(table(one)) == rows_sha256(table(other)):
        assert table(one).equals(table(other))
    else:
        assert repr(one) != repr(other)


def test_null_and_empty_text_differ():
    null, empty = (pa.table({"key": pa.array([value], pa.string())}) for value in (None, ""))
    assert rows_sha256(null) != rows_sha256(empty)


def test_the_last_bit_of_a_number_counts():
    one, next_one = (pa.table({"value": [value]}) for value in (0.1, 0.10000000000000002))
    assert rows_sha256(one) != rows_sha256(next_one)


def test_digests_are_pinned_because_registered_versions_hold_them():
    assert bytes_sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert mapping_sha256({"b": [1, None], "a": "ä"}) == hashlib.sha256('{"a":"ä","b":[1,null]}'.encode()).hexdigest()
    rows = pa.table({"key": ["a", "b"], "n": [1, None], "x": [0.1, 1e300], "yes": [True, False]})
    text = b'"key","n","x","yes"\n"a",1,0.1,true\n"b",,1e+300,false\n'
    assert rows_sha256(rows) == hashlib.sha256(text).hexdigest()


def test_a_number_that_json_does_not_know_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        mapping_sha256({"a": float("nan")})


def test_a_mapping_is_its_keys_and_values_in_any_order():
    assert mapping_sha256({"a": 1, "b": 2}) == mapping_sha256({"b": 2, "a": 1})
    assert mapping_sha256({"a": 1}) != mapping_sha256({"a": "1"})


def test_a_tree_is_names_and_bytes_without_compiled_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.yaml").write_text("1")
    before = tree_sha256(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("compiled")
    assert tree_sha256(tmp_path) == before
    (tmp_path / "a" / "x.yaml").rename(tmp_path / "a" / "y.yaml")
    assert tree_sha256(tmp_path) != before
