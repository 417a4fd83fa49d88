"""Users who were erased: their rows leave live tables and history, and no later extract brings them back.

What the history keeps of a user is a commitment: HMAC-SHA256 of the id under a random salt of this database. It tells
whether an id that is delivered is one of them, and nothing to who has not the id.
"""

import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from streamflow.core.arrow import without_users
from streamflow.core.commitments import SALT_BYTES
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import ExtractError, HistoryError
from streamflow.core.schema import ENTITY_KEY, TABLES, Table
from streamflow.postgres.append_only import writable
from streamflow.provenance.erasures import Erasures
from streamflow.warehouse.definitions import HISTORY, HISTORY_TABLES
from streamflow.warehouse.history import Warehouse
from streamflow.warehouse.versions import ledger_versions


@dataclass(frozen=True)
class RecordedContent:
    """One recorded version of a month's table, with its rows: the first of its versions has number 1."""

    source: str
    table: Table
    month: str
    recorded_at: str
    sha256: str
    rows: pa.Table


def without_erased(store: Warehouse, extracts: Mapping[str, pa.Table]) -> tuple[dict[str, pa.Table], int]:
    """The extracts without users who were erased from this database, and how many users that are."""
    with store.transaction() as cursor:
        cursor.execute("SELECT salt, commitment FROM history.erased_users")
        found = cursor.fetchall()
    if not found:
        return dict(extracts), 0
    salt, erased = bytes(found[0][0]), {bytes(commitment) for _, commitment in found}
    users = {user for rows in extracts.values() for user in rows[ENTITY_KEY].to_pylist()}
    gone = {user for user in users if _commitment(salt, user) in erased}
    return {name: without_users(rows, gone) for name, rows in extracts.items()}, len(gone)


def refuse_erased(month: str, digests: Mapping[str, str], known: Erasures) -> None:
    """Raise ExtractError if a table is one from before an erasure: this database does not know whose rows to leave out."""
    for name, digest in digests.items():
        if (content := known.contents.get(digest)) and content.now != digest:
            raise ExtractError(
                f"{name} of {month} holds {len(content.tombstones)} users who were erased (artifacts/erasures); take their"
                " rows out of the extract, then `streamflow repro`; nothing was written"
            )


def recorded_contents(connection: Any, users: Sequence[str]) -> Iterator[RecordedContent]:
    """Every recorded version, of any source, of each month's table that has had rows of the users; oldest first.

    Raises HistoryError if the rows of a version are not what was recorded: then nothing can be proven of the rest.
    """
    for table in TABLES:
        for source, month in _months_with(connection, table, users):
            store = Warehouse(connection, source)
            for version in ledger_versions(store, table, month):
                rows = store.history_rows(table, month, version.recorded_at)
                if rows_sha256(rows) != version.content_sha256:
                    raise HistoryError(
                        f"history.{table.name} of {month}, recorded at {version.recorded_at}, was changed after it was"
                        " recorded; `streamflow fsck` names the rows; nothing was erased"
                    )
                yield RecordedContent(source, table, month, version.recorded_at, version.content_sha256, rows)


def erase_rows(cursor: Any, users: Sequence[str], known: Erasures, record_id: str, record: str) -> int:
    """Take the users out of live tables and history and keep the record; returns how many rows went.

    The ledger's versions get the digests of what is left; one that changed these users only goes with their rows.
    """
    gone = 0
    with writable(cursor, HISTORY, HISTORY_TABLES):
        for table in TABLES:
            for source, month in _months_with_cursor(cursor, table, users):
                _rewrite_versions(cursor, table, source, month, users, known)
            for space in ("live", HISTORY):
                cursor.execute(f"DELETE FROM {space}.{table.name} WHERE {ENTITY_KEY} = ANY(%s)", (list(users),))
                gone += cursor.rowcount
        cursor.execute("SELECT salt FROM history.erased_users LIMIT 1")
        found = cursor.fetchone()
        salt = bytes(found[0]) if found else secrets.token_bytes(SALT_BYTES)
        for user in users:
            cursor.execute(
                "INSERT INTO history.erased_users (commitment, salt) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (_commitment(salt, user), salt),
            )
        cursor.execute("INSERT INTO history.erasures (id, record) VALUES (%s, %s)", (record_id, record))
    return gone


def forgotten(cursor: Any, users: Sequence[str]) -> list[str]:
    """Those of the users who were erased from this database before."""
    cursor.execute("SELECT salt, commitment FROM history.erased_users")
    found = {bytes(commitment): bytes(salt) for salt, commitment in cursor.fetchall()}
    return [user for user in users for salt in list(found.values())[:1] if _commitment(salt, user) in found]


def present(cursor: Any, users: Sequence[str]) -> set[str]:
    """Those of the users who have a row in a live table or in the history."""
    found: set[str] = set()
    for table in TABLES:
        for space in ("live", HISTORY):
            cursor.execute(
                f"SELECT DISTINCT {ENTITY_KEY} FROM {space}.{table.name} WHERE {ENTITY_KEY} = ANY(%s)", (list(users),)
            )
            found |= {user for (user,) in cursor.fetchall()}
    return found


def erasure_records(cursor: Any) -> dict[str, str]:
    """The records of the database by the id of their call, oldest first."""
    cursor.execute("SELECT id, record FROM history.erasures ORDER BY recorded_at")
    return dict(cursor.fetchall())


@contextmanager
def ingest_stopped(connection: Any) -> Iterator[None]:
    """No ingest writes to the history while the block runs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('streamflow ingest'))")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('streamflow ingest'))")


def _rewrite_versions(
    cursor: Any, table: Table, source: str, month: str, users: Sequence[str], known: Erasures
) -> None:
    where = "source = %s AND as_of = %s AND table_name = %s"
    cursor.execute(
        f"SELECT recorded_at, content_sha256 FROM history.extracts WHERE {where} ORDER BY history.extracts.recorded_at",
        (source, month, table.name),
    )
    versions = cursor.fetchall()
    kept: list[str] = []
    counts = _counts(cursor, table, source, month, users)
    for at, (moment, digest) in enumerate(versions):
        now = known.left_of(digest)
        if kept and kept[-1] == now and versions[at - 1][1] != digest:
            cursor.execute(
                f"DELETE FROM history.extracts WHERE {where} AND recorded_at = %s", (source, month, table.name, moment)
            )
            continue
        kept.append(now)
        added, changed, retracted = counts.get(moment, (0, 0, 0))
        cursor.execute(
            f"UPDATE history.extracts SET content_sha256 = %s, rows = rows - %s, added = added - %s, changed = changed - %s,"
            f" retracted = retracted - %s WHERE {where} AND recorded_at = %s",
            (now, _present(cursor, table, source, month, users, moment), added, changed, retracted,
             source, month, table.name, moment),
        )  # fmt: skip


def _counts(
    cursor: Any, table: Table, source: str, month: str, users: Sequence[str]
) -> dict[Any, tuple[int, int, int]]:
    """Moment to how many of the users were added, changed and retracted then."""
    cursor.execute(
        "SELECT recorded_at, count(*) FILTER (WHERE NOT retracted AND earlier IS DISTINCT FROM false),"
        " count(*) FILTER (WHERE NOT retracted AND NOT earlier), count(*) FILTER (WHERE retracted)"
        " FROM (SELECT recorded_at, retracted,"
        f" lag(retracted) OVER (PARTITION BY {ENTITY_KEY} ORDER BY recorded_at) AS earlier FROM history.{table.name}"
        f" WHERE source = %s AND as_of = %s AND {ENTITY_KEY} = ANY(%s)) found GROUP BY recorded_at",
        (source, month, list(users)),
    )
    return {moment: (added, changed, retracted) for moment, added, changed, retracted in cursor.fetchall()}


def _present(cursor: Any, table: Table, source: str, month: str, users: Sequence[str], moment: Any) -> int:
    cursor.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT ON ({ENTITY_KEY}) retracted FROM history.{table.name}"
        f" WHERE source = %s AND as_of = %s AND {ENTITY_KEY} = ANY(%s) AND recorded_at <= %s"
        f" ORDER BY {ENTITY_KEY}, recorded_at DESC) latest WHERE NOT retracted",
        (source, month, list(users), moment),
    )
    return int(cursor.fetchone()[0])


def _months_with(connection: Any, table: Table, users: Sequence[str]) -> list[tuple[str, str]]:
    with connection, connection.cursor() as cursor:
        return _months_with_cursor(cursor, table, users)


def _months_with_cursor(cursor: Any, table: Table, users: Sequence[str]) -> list[tuple[str, str]]:
    cursor.execute(
        f"SELECT DISTINCT source, as_of::text FROM history.{table.name} WHERE {ENTITY_KEY} = ANY(%s) ORDER BY 1, 2",
        (list(users),),
    )
    return list(cursor.fetchall())


def _commitment(salt: bytes, user: str) -> bytes:
    return hmac.digest(salt, user.encode(), "sha256")
