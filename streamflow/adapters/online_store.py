"""What the online store's tables hold, and the ledger of what was published to them.

Feast keeps one table for each feature view in schema `feast`. The ledger row of a view names the frozen file that it was
published from and a digest of the published rows, so that a wiped or changed table is seen without asking Feast.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2

from streamflow.adapters.postgres import connect
from streamflow.calendar import instant
from streamflow.errors import FeatureStoreError

PROJECT = "streamflow"
SCHEMA = "feast"

_LEDGER = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.published (
    feature_view text PRIMARY KEY,
    source text NOT NULL,
    content text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class OnlineContent:
    """What one online table holds: users, and a digest of all its rows whatever their order."""

    users: int
    digest: str


def published(url: str, sources: Mapping[str, str]) -> bool:
    """Whether each feature view's online table holds exactly what was published from the source named for it."""
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow published'))")
        cursor.execute(_LEDGER)
        cursor.execute(f"SELECT feature_view, source, content FROM {SCHEMA}.published")
        ledger = {view: (source, content) for view, source, content in cursor.fetchall()}
        return all(
            view in ledger and ledger[view] == (source, _content(cursor, view).digest) for view, source in sources.items()
        )


def settle(url: str, sources: Mapping[str, str], as_of: str, users: int) -> None:
    """After a materialization: drop rows of other dates, count the users, write the ledger.

    Raises FeatureStoreError if a view does not hold exactly `users` users.
    """
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        for view, source in sources.items():
            # Users that the snapshot no longer has.
            cursor.execute(f"DELETE FROM {_table(view)} WHERE event_ts <> %s", (instant(as_of),))
            content = _content(cursor, view)
            if content.users != users:
                raise FeatureStoreError(
                    f"online feature view {view} holds {content.users} users, the snapshot of {as_of} {users};"
                    " run `dvc repro -s materialize` again"
                )
            cursor.execute(
                f"INSERT INTO {SCHEMA}.published (feature_view, source, content) VALUES (%s, %s, %s)"
                " ON CONFLICT (feature_view) DO UPDATE SET source = excluded.source, content = excluded.content,"
                " published_at = now()",
                (view, source, content.digest),
            )


def _content(cursor: Any, view: str) -> OnlineContent:
    try:
        cursor.execute("SAVEPOINT content")
        cursor.execute(
            "SELECT count(DISTINCT entity_key), count(*)::text || ':' || sum(hashtextextended(row::text, 0)::numeric)::text"
            f" FROM {_table(view)} row"
        )
        users, digest = cursor.fetchone()
    except psycopg2.errors.UndefinedTable:
        cursor.execute("ROLLBACK TO SAVEPOINT content")
        users, digest = 0, None
    return OnlineContent(users, digest or "empty")


def _table(view: str) -> str:
    return f'{SCHEMA}."{PROJECT}_{view}"'
