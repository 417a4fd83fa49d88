"""The warehouse in Postgres: live tables with the latest extracts, and their append-only, bitemporal history.

`live.TABLE` holds the latest extract of each source and month and may be overwritten; rows without a source are
of other programs. `history.TABLE` has every version of every row: `as_of` is the date the row describes, `recorded_at` when
this database recorded it, `retracted` marks a user that a corrected extract no longer has. `history.extracts` has
one row for each recorded version of a month's table. Each source has a history of its own, so that a run with synthetic
users never corrects real ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg2
import pyarrow as pa

from streamflow.core.digest import rows_sha256
from streamflow.core.errors import HistoryError, first_line
from streamflow.core.schema import ENTITY_KEY, TABLES, Table
from streamflow.postgres.append_only import unprotected
from streamflow.postgres.connection import connect
from streamflow.warehouse.columns import add_missing_columns
from streamflow.warehouse.copying import copied_batches, copied_table, csv_buffer
from streamflow.warehouse.definitions import HISTORY, HISTORY_TABLES, LANDED, REFUSAL, definitions, protection


@dataclass(frozen=True)
class Recorded:
    """Rows that were appended for one table of a month."""

    table: str
    added: int
    changed: int
    retracted: int

    @property
    def total(self) -> int:
        """Rows appended to the history."""
        return self.added + self.changed + self.retracted


@contextmanager
def warehouse(url: str, source: str) -> Iterator["Warehouse"]:
    """The warehouse of a database with the history of one source; creates its tables if they are missing."""
    connection = connect(url)
    try:
        store = Warehouse(connection, source)
        store.create_tables()
        yield store
    finally:
        connection.close()


class Warehouse:
    """Reads and writes of live tables and of one source's history over one connection."""

    def __init__(self, connection: Any, source: str) -> None:
        self._connection = connection
        self._source = source

    def create_tables(self) -> None:
        """Create what is missing of schemas, tables, append-only triggers, and columns of empty tables."""
        with self.transaction() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = ANY(%s)"
                " OR schemaname = 'live' AND tablename = ANY(%s)",
                (HISTORY, list(HISTORY_TABLES), [table.name for table in TABLES]),
            )
            if cursor.fetchone()[0] != len(HISTORY_TABLES) + len(TABLES):
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow warehouse'))")
                cursor.execute(definitions())
            add_missing_columns(cursor)

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

    def history_rows(self, table: Table, month: str, known_at: str | None = None) -> pa.Table:
        """The state of a month as known at `known_at` (None: now), sorted by user."""
        with self.transaction() as cursor:
            return copied_table(cursor, table, self._state_query(cursor, table, month, known_at))

    def recorded_digest(self, table: Table, month: str) -> str | None:
        """Content digest of the last recorded version of a month's table; None if there is none."""
        with self.transaction() as cursor:
            return self._recorded_digest(cursor, table, month)

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
            return [self._record_table(cursor, table, month, extracts[table.name], moment) for table in tables]

    def freeze(self, month: str, known_at: str | None) -> Iterator[tuple[Table, Iterator[pa.RecordBatch]]]:
        """Each table's state at a month, sorted by user, as a stream; all from one REPEATABLE READ transaction.

        Raises HistoryError if nothing of the month was recorded at `known_at`.
        """
        with self.transaction() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            for table in TABLES:
                self._require_known(cursor, table, month, known_at)
                query = self._state_query(cursor, table, month, known_at)
                yield table, copied_batches(cursor, table, query)

    def _record_table(self, cursor: Any, table: Table, month: str, rows: pa.Table, moment: Any) -> Recorded:
        columns = ", ".join(table.header)
        cursor.execute(f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns} FROM live.{table.name} LIMIT 0")
        cursor.copy_expert(f"COPY staging ({columns}) FROM STDIN (FORMAT csv, HEADER true)", csv_buffer(rows))
        if self._source != LANDED:
            self._land(cursor, table, month)
        digest = rows_sha256(rows)
        recorded = Recorded(table.name, 0, 0, 0)
        if digest != self._recorded_digest(cursor, table, month):
            recorded = self._append_versions(cursor, table, month, moment)
            cursor.execute(
                "INSERT INTO history.extracts (source, as_of, table_name, recorded_at, rows, content_sha256, added,"
                " changed, retracted) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    self._source,
                    month,
                    table.name,
                    moment,
                    rows.num_rows,
                    digest,
                    recorded.added,
                    recorded.changed,
                    recorded.retracted,
                ),
            )
        cursor.execute("DROP TABLE staging")
        return recorded

    def _recorded_digest(self, cursor: Any, table: Table, month: str) -> str | None:
        cursor.execute(
            "SELECT content_sha256 FROM history.extracts WHERE source = %s AND as_of = %s AND table_name = %s"
            " ORDER BY recorded_at DESC LIMIT 1",
            (self._source, month, table.name),
        )
        found = cursor.fetchone()
        return found[0] if found else None

    def _land(self, cursor: Any, table: Table, month: str) -> None:
        columns = ", ".join(table.header)
        cursor.execute(f"DELETE FROM live.{table.name} WHERE source = %s AND as_of = %s", (self._source, month))
        cursor.execute(
            f"INSERT INTO live.{table.name} (source, as_of, {columns}) SELECT %s, %s, {columns} FROM staging",
            (self._source, month),
        )

    def _append_versions(self, cursor: Any, table: Table, month: str, moment: Any) -> Recorded:
        values = ", ".join(table.header[1:])
        old, new = (", ".join(f"{alias}.{name}" for name in table.header[1:]) for alias in ("state", "staging"))
        state = self._state_query(cursor, table, month, None)
        cursor.execute(
            f"CREATE TEMP TABLE versions ON COMMIT DROP AS"
            f" SELECT staging.*, false AS retracted, state.{ENTITY_KEY} IS NULL AS fresh"
            f" FROM staging LEFT JOIN ({state}) state USING ({ENTITY_KEY})"
            f" WHERE state.{ENTITY_KEY} IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new})"
        )
        cursor.execute(
            f"INSERT INTO versions ({ENTITY_KEY}, retracted, fresh)"
            f" SELECT {ENTITY_KEY}, true, false FROM ({state}) state"
            f" WHERE NOT EXISTS (SELECT FROM staging WHERE staging.{ENTITY_KEY} = state.{ENTITY_KEY})"
        )
        cursor.execute(
            f"INSERT INTO history.{table.name} (source, as_of, recorded_at, {ENTITY_KEY}, {values}, retracted)"
            f" SELECT %s, %s, %s, {ENTITY_KEY}, {values}, retracted FROM versions",
            (self._source, month, moment),
        )
        cursor.execute(
            "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh AND NOT retracted),"
            " count(*) FILTER (WHERE retracted) FROM versions"
        )
        added, changed, retracted = cursor.fetchone()
        cursor.execute("DROP TABLE versions")
        return Recorded(table.name, added, changed, retracted)

    def _require_known(self, cursor: Any, table: Table, month: str, known_at: str | None) -> None:
        cursor.execute(
            "SELECT min(recorded_at) FROM history.extracts WHERE source = %s AND as_of = %s AND table_name = %s",
            (self._source, month, table.name),
        )
        first = cursor.fetchone()[0]
        if first is None:
            raise HistoryError(
                f"history.{table.name} has no rows of {month}; ingest the month: `dvc repro ingest@{month}`"
            )
        cursor.execute("SELECT %s::timestamptz < %s", (known_at, first))
        if cursor.fetchone()[0]:
            raise HistoryError(
                f"known_at={known_at}: {month} was first recorded at {first.isoformat()}; use a later known_at or none"
            )

    def _live_query(self, cursor: Any, table: Table, month: str) -> str:
        columns = ", ".join(table.header)
        query = f"SELECT {columns} FROM live.{table.name} WHERE source = %s AND as_of = %s ORDER BY {ENTITY_KEY}"
        return _bound(cursor, query, self._source, month)

    def _state_query(self, cursor: Any, table: Table, month: str, known_at: str | None) -> str:
        columns = ", ".join(table.header)
        return _bound(
            cursor,
            f"SELECT {columns} FROM (SELECT DISTINCT ON ({ENTITY_KEY}) * FROM history.{table.name}"
            f" WHERE source = %s AND as_of = %s"
            f" AND (%s::timestamptz IS NULL OR recorded_at <= %s::timestamptz)"
            f" ORDER BY {ENTITY_KEY}, recorded_at DESC) latest WHERE NOT retracted ORDER BY {ENTITY_KEY}",
            self._source,
            month,
            known_at,
            known_at,
        )

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction. Raises HistoryError if a statement fails."""
        try:
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise HistoryError(f"the warehouse: {first_line(error)}; nothing was written") from error


def _bound(cursor: Any, query: str, *values: Any) -> str:
    text: bytes = cursor.mogrify(query, values)
    return text.decode()
