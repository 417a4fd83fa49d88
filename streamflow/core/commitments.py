"""Salted commitments to the rows of a table, one for each user: the rest can be proven when a user's row is gone.

Each row has a salt of its own: HMAC-SHA256 of its user under a key that is a digest of all rows, so equal tables have equal
commitments in every database. Once a row is gone that key can't be computed from the rest, which keeps its salts.
The scheme is that of salted hashes in selective disclosure (RFC 9901, section 4.2), with SHA-256.
"""

import hashlib
import hmac
import io
import json
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from streamflow.core.schema import ENTITY_KEY

_KEY_PREFIX = b"streamflow row salts\0"
SALT_BYTES = 32


def row_salts(rows: pa.Table) -> list[bytes]:
    """The salt of each row of a whole table that is sorted by user; 32 bytes each."""
    key = hashlib.sha256(_KEY_PREFIX + _lines(rows).tobytes()).digest()
    return [hmac.digest(key, user.encode(), "sha256") for user in rows[ENTITY_KEY].to_pylist()]


def row_commitments(rows: pa.Table, salts: Sequence[bytes]) -> list[bytes]:
    """The commitment to each row: SHA-256 of its salt and of its values in the canonical form of `rows_sha256`."""
    lines = bytes(_lines(rows)).split(b"\n")[: rows.num_rows]
    return [hashlib.sha256(salt + line).digest() for salt, line in zip(salts, lines, strict=True)]


def root_of(names: Sequence[str], commitments: Iterable[bytes]) -> str:
    """What a receipt keeps of the commitments: SHA-256 of the column names and of the commitments in their own order.

    Sorted as they are, they don't tell where among the users a row was.
    """
    head = json.dumps(list(names), separators=(",", ":")).encode()
    return hashlib.sha256(head + b"\n" + b"".join(sorted(commitments))).hexdigest()


def commitments_sha256(rows: pa.Table) -> str:
    """The root of the commitments to a whole table that is sorted by user."""
    return root_of(rows.column_names, row_commitments(rows, row_salts(rows)))


def _lines(rows: pa.Table) -> memoryview:
    """One line for each row, none within a value."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            escaped = pc.replace_substring(pc.replace_substring(rows.column(at), "\\", "\\\\"), "\n", "\\n")
            rows = rows.set_column(at, field, escaped)
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows, sink, pyarrow.csv.WriteOptions(include_header=False))
    return sink.getbuffer()
