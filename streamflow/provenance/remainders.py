"""What becomes of the content of a table without some users: the rows that are left, and what proves them."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from streamflow.core.arrow import without_users
from streamflow.core.commitments import SALT_BYTES, root_of, row_commitments, row_salts
from streamflow.core.digest import rows_sha256
from streamflow.core.schema import ENTITY_KEY
from streamflow.provenance.erasures import ErasedContent, Erasures

SALT = "salt"
SALTS = pa.schema([pa.field(ENTITY_KEY, pa.string(), False), pa.field(SALT, pa.binary(SALT_BYTES), False)])
"""The salts of the rows that are left of a content."""

Keep = Callable[[pa.Table], str]
"""Keeps salts as an object of DVC's cache; returns its MD5."""
Read = Callable[[str], pa.Table]
"""The salts that an object has."""


def erased_content(
    table: str, month: str, rows: pa.Table, users: set[str], known: Erasures, read: Read, keep: Keep
) -> Iterator[tuple[str, ErasedContent]]:
    """The entries of a record for one content: of itself, and of each earlier content that it is what is left of.

    Yields digest and entry. `rows` are sorted by user and hold at least one of the users.
    """
    digest, left = rows_sha256(rows), rows_sha256(without_users(rows, users))
    own = pa.table([rows[ENTITY_KEY], pa.array(row_salts(rows), pa.binary(SALT_BYTES))], schema=SALTS)
    earlier_salts = ((before, read(known.contents[before].salts_md5)) for before in _before(digest, known))
    for before, salts in ((digest, own), *earlier_salts):
        commitments = row_commitments(rows, salts[SALT].to_pylist())
        gone = [
            commitment.hex()
            for user, commitment in zip(rows[ENTITY_KEY].to_pylist(), commitments, strict=True)
            if user in users
        ]
        earlier = known.contents.get(before)
        root = earlier.commitments_sha256 if earlier else root_of(rows.column_names, commitments)
        total = earlier.rows if earlier else rows.num_rows
        kept = keep(without_users(salts, users))
        yield before, ErasedContent(table, month, total, left, root, tuple(sorted(gone)), kept)


def is_proven(rows: pa.Table, salts: pa.Table, content: ErasedContent, root: str) -> bool:
    """Whether rows are all that is left of a content: with the tombstones their commitments make the root.

    `root` is what the receipt of the ingest has of the content from before.
    """
    if salts[ENTITY_KEY].to_pylist() != rows[ENTITY_KEY].to_pylist():
        return False
    commitments = row_commitments(rows, salts[SALT].to_pylist())
    gone = [bytes.fromhex(each) for each in content.tombstones]
    return root_of(rows.column_names, [*commitments, *gone]) == root


def _before(digest: str, known: Erasures) -> list[str]:
    return sorted(each for each, content in known.contents.items() if content.now == digest and each != digest)
