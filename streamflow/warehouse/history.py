"""The warehouse in Postgres: live tables with the latest extracts, and their append-only, bitemporal history.

`live.TABLE` holds the latest extract of each source and month and may be overwritten; rows without a source are
of other programs. `history.TABLE` has every version of every row: `as_of` is the date the row describes, `recorded_at` when
this database recorded it, `retracted` marks a user that a corrected extract no longer has. `history.extracts` has
one row for each recorded version of a month's table. Each source has a history of its own, so that a run with synthetic
users never corrects real ones.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import psycopg2
import pyarrow as pa

from streamflow.core.errors import HistoryError, first_line
from streamflow.core.schema import ENTITY_KEY, TABLES, Table
from streamflow.postgres.append_only import unprotected
from streamflow.postgres.connection import connect
from streamflow.postgres.query import answer
from streamflow.warehouse.copying import copied_batches, copied_table
from streamflow.warehouse.definitions import HISTORY, HISTORY_TABLES, LANDED, REFUSAL, protection
from streamflow.warehouse.recorded_columns import recorded_table
from streamflow.warehouse.recording import Recorded, bound, record_table, recorded_digest, state_query
from streamflow.warehouse.upgrade import MADE, is_current, upgrade


@contextmanager
def warehouse(url: str, source: str) -> Iterator["Warehouse"]:
    """The warehouse of a database with the history of one source; its tables are made, or upgraded, if they have to be."""
    connection = connect(url)
    try:
        store = Warehouse(connection, source)
        if not store.is_current():
            for line in (each for each in upgrade(url) if each != MADE):
                print(f"database: {line}", file=sys.stderr)
        yield store
    finally:
        connection.close()


class Warehouse:
    """Reads and writes of live tables and of one source's history over one connection."""

    def __init__(self, connection: Any, source: str) -> None:
        self._connection = connection
        self._source = source

    def is_current(self) -> bool:
        """Whether the tables are those of this code."""
        with self.transaction() as cursor:
            return is_current(cursor)

    def unprotected(self) -> list[str]:
        """What in the history no longer refuses changes, though it was made to: a function or tables."""
        with self.transaction() as cursor:
            return unprotected(cursor, HISTORY, REFUSAL, HISTORY_TABLES)

    def protect(self) -> list[str]:
        """Make the history append-only again where it no longer is; returns what was unprotected."""
        found = self.unprotected()
        if found:
            with self.transaction() as cursor:
                cursor.execute(protection())
        return found

    def live_month(self, month: str) -> dict[str, pa.Table]:
        """The live rows of a month, sorted by user, all tables as of one moment; keyed by table name."""
        with self.transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return {table.name: copied_table(cursor, table, self._live_query(cursor, table, month)) for table in TABLES}

    def answer(self, query: str) -> bytes:
        """The answer to a query of a mapped source, as CSV; nothing can be written by it. Raises ExtractError."""
        return answer(self._connection, query)

    def history_rows(self, table: Table, month: str, known_at: str | None = None) -> pa.Table:
        """The state of a month as known at `known_at` (None: now), sorted by user, with the columns of that version."""
        with self.transaction() as cursor:
            known = recorded_table(cursor, self._source, table, month, known_at) or table
            return copied_table(cursor, known, state_query(cursor, self._source, known, month, known_at))

    def recorded_table(self, table: Table, month: str) -> Table | None:
        """A month's table with the columns of its last version; None if there is none."""
        with self.transaction() as cursor:
            return recorded_table(cursor, self._source, table, month)

    def recorded_digest(self, table: Table, month: str) -> str | None:
        """Content digest of the last recorded version of a month's table; None if there is none."""
        with self.transaction() as cursor:
            return recorded_digest(cursor, self._source, table, month)

    @property
    def source(self) -> str:
        """The source whose history this is."""
        return self._source

    @property
    def is_landed(self) -> bool:
        """Whether other programs write the live rows of this source; they may also delete them."""
        return self._source == LANDED

    def tables_of(self, month: str) -> int:
        """Recorded tables of a month; 0 if it was never ingested here."""
        with self.transaction() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT table_name) FROM history.extracts WHERE source = %s AND as_of = %s",
                (self._source, month),
            )
            return int(cursor.fetchone()[0])

    def rows_before(self, table: Table, month: str) -> tuple[str, int] | None:
        """The latest recorded month up to and including `month`, and its number of rows; None if nothing was recorded."""
        with self.transaction() as cursor:
            cursor.execute(
                "SELECT as_of::text, rows FROM history.extracts WHERE source = %s AND as_of <= %s AND table_name = %s"
                " ORDER BY as_of DESC, recorded_at DESC LIMIT 1",
                (self._source, month, table.name),
            )
            found: tuple[str, int] | None = cursor.fetchone()
        return found

    def known_when(self, month: str, digests: Mapping[str, str]) -> str | None:
        """The last moment at which every table of a month had the content of `digests` (by table name), ISO text in UTC.

        None if there was none.
        """
        with self.transaction() as cursor:
            cursor.execute(
                "SELECT recorded_at, table_name, content_sha256 FROM history.extracts"
                " WHERE source = %s AND as_of = %s ORDER BY recorded_at",
                (self._source, month),
            )
            ledger = cursor.fetchall()
        state: dict[str, str] = {}
        known = None
        for moment, changes in groupby(ledger, key=lambda row: row[0]):
            state |= {name: digest for _, name, digest in changes}
            if state == dict(digests):
                known = moment
        return known.isoformat() if known else None

    def record(self, month: str, extracts: Mapping[str, pa.Table], tables: Iterable[Table] = TABLES) -> list[Recorded]:
        """Write a month to the live tables and append what differs to the history, in one transaction.

        `extracts` holds typed rows sorted by user, keyed by table name. A table whose content is recorded already gets
        no new history, but its live rows are written again. `tables` may report progress while it is iterated.
        """
        with self.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow ingest'))")
            # Later than everything recorded, even if the clock was set back.
            cursor.execute("SELECT greatest(now(), max(recorded_at) + interval '1 microsecond') FROM history.extracts")
            moment = cursor.fetchone()[0]
            return [record_table(cursor, self._source, table, month, extracts[table.name], moment) for table in tables]

    def freeze(self, month: str, known_at: str | None) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        """Each table's state at a month, sorted by user, as a stream; all from one REPEATABLE READ transaction.

        A table has the columns of its version; one that the schema got after the month was recorded is left out.
        Raises HistoryError if nothing of the month was recorded at `known_at`.
        """
        with self.transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            for table in TABLES:
                if known := self._known(cursor, table, month, known_at):
                    query = state_query(cursor, self._source, known, month, known_at)
                    yield known, copied_batches(cursor, known, query)

    def _known(self, cursor: Any, table: Table, month: str, known_at: str | None) -> Table | None:
        cursor.execute(
            "SELECT min(recorded_at), %s::timestamptz < min(recorded_at) FROM history.extracts"
            " WHERE source = %s AND as_of = %s",
            (known_at, self._source, month),
        )
        first, is_before = cursor.fetchone()
        if first is None:
            raise HistoryError(f"history.{table.name} has no rows of {month}; ingest the month: `dvc repro ingest`")
        if is_before:
            raise HistoryError(
                f"known_at={known_at}: {month} was first recorded at {first.isoformat()}; use a later known_at or none"
            )
        return recorded_table(cursor, self._source, table, month, known_at)

    def _live_query(self, cursor: Any, table: Table, month: str) -> str:
        columns = ", ".join(table.header)
        query = f"SELECT {columns} FROM live.{table.name} WHERE source = %s AND as_of = %s ORDER BY {ENTITY_KEY}"
        return bound(cursor, query, self._source, month)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction. Raises HistoryError if a statement fails."""
        try:
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise HistoryError(f"the warehouse: {first_line(error)}; nothing was written") from error
