"""What Postgres keeps of deleted rows: dead tuples, statistics and the write-ahead log."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from streamflow.core.errors import first_line
from streamflow.postgres.connection import URL_VARIABLE, connect

_SCHEMAS = ["live", "history", "feast"]
_PATIENCE_SECONDS = 10


def rewrite_pages(url: str) -> list[str]:
    """Rewrite tables and statistics, and on the embedded server the write-ahead log, so that no old page is left.

    Returns what this role may not do, in words.
    """
    left = []
    with closing(connect(url)) as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1",
                (_SCHEMAS,),
            )
            tables = [name for (name,) in cursor.fetchall()]
            for statement in (
                *(f"VACUUM (FULL, ANALYZE) {table}" for table in tables),
                "VACUUM FULL pg_catalog.pg_statistic",
            ):
                try:
                    cursor.execute(statement)
                except psycopg2.Error as error:
                    left.append(f"{statement}: {first_line(error)}; ask the owner of the database to run it")
            if os.environ.get(URL_VARIABLE):
                left.append(
                    "write-ahead log, its archive, replicas and backups of this server hold the old pages until they are"
                    " recycled: ask who runs it"
                )
            else:
                _renew_log(cursor)
    return left


def _renew_log(cursor: Any) -> None:
    """Remove every segment of the write-ahead log that was written, or prepared from an old one, before now."""
    with _not_recycled(cursor):
        cursor.execute("SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())")
        for _ in range(cursor.fetchone()[0] + 1):
            # An empty segment is not switched.
            cursor.execute("SELECT pg_logical_emit_message(false, 'streamflow', 'erase')")
            cursor.execute("SELECT pg_switch_wal()")
        cursor.execute("CHECKPOINT")
        cursor.execute("CHECKPOINT")


@contextmanager
def _not_recycled(cursor: Any) -> Iterator[None]:
    """Segments that are no longer needed are removed, not used again."""
    cursor.execute("ALTER SYSTEM SET wal_recycle = off")
    _reload(cursor, "off")
    try:
        yield
    finally:
        cursor.execute("ALTER SYSTEM RESET wal_recycle")
        _reload(cursor, "on")


def _reload(cursor: Any, expected: str) -> None:
    cursor.execute("SELECT pg_reload_conf()")
    for _ in range(_PATIENCE_SECONDS * 20):
        cursor.execute("SHOW wal_recycle")
        if cursor.fetchone()[0] == expected:
            time.sleep(0.2)  # the checkpointer reads the setting on its own
            return
        time.sleep(0.05)
