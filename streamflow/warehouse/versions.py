"""The recorded versions of a month's table: as the ledger history.extracts lists them, and as the rows make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamflow.core.digest import rows_sha256
from streamflow.core.schema import ENTITY_KEY, Table
from streamflow.warehouse.differences import NAMED_KEYS
from streamflow.warehouse.history import Warehouse

RESTORE = "restore the rows, or the database from its backup"


@dataclass(frozen=True)
class Version:
    """One version of a month's table: when it was recorded (UTC, as Postgres writes it), and its content digest."""

    recorded_at: str
    content_sha256: str


def ledger_versions(store: Warehouse, table: Table, month: str, known_at: str | None = None) -> list[Version]:
    """The versions that the ledger lists, oldest first; with `known_at` those recorded until then."""
    with store.transaction() as cursor:
        cursor.execute(
            "SELECT recorded_at::text, content_sha256 FROM history.extracts"
            " WHERE source = %s AND as_of = %s AND table_name = %s"
            " AND (%s::timestamptz IS NULL OR recorded_at <= %s::timestamptz)"
            " ORDER BY history.extracts.recorded_at",
            (store.source, month, table.name, known_at, known_at),
        )
        return [Version(moment, digest) for moment, digest in cursor.fetchall()]


def months_beside(store: Warehouse, month: str) -> list[str]:
    """The latest recorded month before one and the first after it; one or none if there are not both."""
    with store.transaction() as cursor:
        cursor.execute(
            "SELECT max(as_of) FILTER (WHERE as_of < %s)::text, min(as_of) FILTER (WHERE as_of > %s)::text"
            " FROM history.extracts WHERE source = %s",
            (month, month, store.source),
        )
        return [found for found in cursor.fetchone() if found]


def months_with(store: Warehouse, month: str, digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Each other recorded month that has one of some contents (digest by table name), with those that it has."""
    with store.transaction() as cursor:
        cursor.execute(
            "SELECT as_of::text, array_agg(content_sha256) FROM (SELECT DISTINCT ON (as_of, table_name)"
            " as_of, table_name, content_sha256 FROM history.extracts WHERE source = %s AND as_of <> %s"
            " ORDER BY as_of, table_name, recorded_at DESC) last"
            " JOIN unnest(%s::text[], %s::text[]) AS given(name, digest) ON (name, digest) = (table_name, content_sha256)"
            " GROUP BY as_of ORDER BY as_of",
            (store.source, month, list(digests), list(digests.values())),
        )
        return dict(cursor.fetchall())


def row_versions(store: Warehouse, table: Table, month: str) -> list[Version]:
    """The versions that the rows of the history make, oldest first: their state at each moment that a row names."""
    with store.transaction() as cursor:
        cursor.execute(
            f"SELECT recorded_at::text FROM history.{table.name} WHERE source = %s AND as_of = %s"
            f" GROUP BY recorded_at ORDER BY history.{table.name}.recorded_at",
            (store.source, month),
        )
        moments = [moment for (moment,) in cursor.fetchall()]
    return [Version(moment, rows_sha256(store.history_rows(table, month, moment))) for moment in moments]


def users_recorded(store: Warehouse, table: Table, month: str, after: str, until: str | None = None) -> list[str]:
    """Users with a row recorded after a moment (and until another), sorted; one more than are named in a message."""
    with store.transaction() as cursor:
        cursor.execute(
            f"SELECT DISTINCT {ENTITY_KEY} FROM history.{table.name} WHERE source = %s AND as_of = %s"
            " AND recorded_at > %s::timestamptz AND (%s::timestamptz IS NULL OR recorded_at <= %s::timestamptz)"
            f" ORDER BY 1 LIMIT {NAMED_KEYS + 1}",
            (store.source, month, after, until, until),
        )
        return [user for (user,) in cursor.fetchall()]


def named_users(users: Sequence[str]) -> str:
    """The first users, in words."""
    return ", ".join(users[:NAMED_KEYS]) + (", …" if len(users) > NAMED_KEYS else "")


def suspects(store: Warehouse, table: Table, month: str, version: Version, last_is_right: bool) -> str:
    """Words that name whose rows of a version can have changed; empty if that can't be told.

    If the last version is right, only rows that a later one replaced can have: a change in any other is in the last too.
    """
    users = users_recorded(store, table, month, version.recorded_at) if last_is_right else []
    return f" (only users that a later version replaced can differ: {named_users(users)})" if users else ""
