"""The ledger of erasures: what one, and several after each other, make of contents, versions and frozen months."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.arrow import without_users
from streamflow.core.commitments import commitments_sha256
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import HistoryError
from streamflow.provenance.erasures import ErasedContent, ErasedSnapshot, Erasure, merged, read_erasure
from streamflow.provenance.remainders import erased_content, is_proven

USERS = [f"u{at}" for at in range(6)]


def rows(*values):
    return pa.table({"user_id": USERS[: len(values)], "n": list(values)})


def record(number, contents=None, snapshots=None):
    return Erasure(number, "", "2024-03-04T00:00:00Z", "asked for", 1, contents or {}, snapshots or {})


class Salts:
    """Objects with salts, by a name of their own."""

    def __init__(self):
        self.objects = {}

    def keep(self, salts):
        name = rows_sha256(
            pa.table({"user_id": salts["user_id"], "salt": [s.hex() for s in salts["salt"].to_pylist()]})
        )
        self.objects[name] = salts
        return name


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6), st.permutations(USERS), st.integers(1, 3))
def test_after_any_erasures_the_rest_proves_itself_against_the_root_of_the_ingest(values, order, count):
    whole, salts, known = rows(*values), Salts(), merged(())
    digest, root, left = rows_sha256(whole), commitments_sha256(whole), whole
    for number, user in enumerate(order[:count], 1):
        found = dict(erased_content("t", "m", left, {user}, known, salts.objects.get, salts.keep))
        known = merged((*known.records, record(number, found)))
        left = without_users(left, {user})
        assert known.left_of(digest) == rows_sha256(left)
        content = known.contents[digest]
        assert (content.rows, len(content.tombstones), content.commitments_sha256) == (6, number, root)
        kept = salts.objects[content.salts_md5]
        assert is_proven(left, kept, content, root)
        other = left.set_column(1, "n", pa.array([left["n"][0].as_py() + 1, *left["n"].to_pylist()[1:]]))
        assert not is_proven(other, kept, content, root)
        assert not is_proven(left.slice(1), kept.slice(1), content, root)
        assert not is_proven(left, kept, ErasedContent("t", "m", 6, content.now, root, (), ""), root)


def test_a_version_that_changed_erased_users_only_is_none_any_more():
    def content(now):
        return ErasedContent("t", "m", 2, now, "", (), "")

    known = merged((record(1, {"a": content("x"), "b": content("x"), "c": content("y")}),))
    assert known.versions(("a", "b", "c")) == ("x", "y")
    assert known.versions(("a", "c", "b", "a")) == ("x", "y", "x")
    assert known.versions(("d", "d")) == ("d", "d")
    assert known.versions(()) == ()


def test_frozen_months_follow_from_erasure_to_erasure():
    first = record(1, {}, {"a.dir": ErasedSnapshot("b.dir", 2)})
    second = record(2, {}, {"b.dir": ErasedSnapshot("c.dir", 1), "z.dir": ErasedSnapshot("y.dir", 1)})
    assert merged((first, second)).snapshots == {
        "a.dir": ErasedSnapshot("c.dir", 3),
        "b.dir": ErasedSnapshot("c.dir", 1),
        "z.dir": ErasedSnapshot("y.dir", 1),
    }


def test_a_record_is_read_as_it_was_written_and_a_damaged_one_is_named():
    content = {"d": ErasedContent("t", "m", 2, "x", "r", ("ab",), "s")}
    written = record(7, content, {"a.dir": ErasedSnapshot("b.dir", 2)})
    assert read_erasure(written.text().encode(), "here") == written
    for damage in (b"", b"[]", b"{}", json.dumps({**json.loads(written.text()), "more": 1}).encode()):
        with pytest.raises(HistoryError, match=r"artifacts/erasures/0001\.json is damaged"):
            read_erasure(damage, "artifacts/erasures/0001.json")
