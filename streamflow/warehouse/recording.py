"""What is written of a month's table, and how its state at some time is read back, over one cursor."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from streamflow.core.arrow import arrow_schema
from streamflow.core.digest import rows_sha256
from streamflow.core.schema import ENTITY_KEY, Table
from streamflow.warehouse.copying import csv_buffer
from streamflow.warehouse.definitions import LANDED
from streamflow.warehouse.recorded_columns import columns_of, recorded_table, table_of


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


def record_table(cursor: Any, source: str, table: Table, month: str, rows: pa.Table, moment: Any) -> Recorded:
    """Write a month's table to the live table, unless others land it, and what is new of it to the history."""
    before, table = recorded_table(cursor, source, table, month), table_of(table, rows.schema)
    columns = ", ".join(table.header)
    cursor.execute(f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns} FROM live.{table.name} LIMIT 0")
    cursor.copy_expert(f"COPY staging ({columns}) FROM STDIN (FORMAT csv, HEADER true)", csv_buffer(rows))
    if source != LANDED:
        _land(cursor, source, table, month)
    digest = rows_sha256(rows)
    recorded = Recorded(table.name, 0, 0, 0)
    if digest != recorded_digest(cursor, source, table, month):
        is_reshaped = before is not None and columns_of(arrow_schema(before)) != columns_of(rows.schema)
        recorded = _append_versions(cursor, source, table, month, moment, is_reshaped)
        cursor.execute(
            "INSERT INTO history.extracts (source, as_of, table_name, recorded_at, rows, content_sha256, added,"
            " changed, retracted, columns) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                source,
                month,
                table.name,
                moment,
                rows.num_rows,
                digest,
                recorded.added,
                recorded.changed,
                recorded.retracted,
                json.dumps(columns_of(rows.schema)),
            ),
        )
    cursor.execute("DROP TABLE staging")
    return recorded


def recorded_digest(cursor: Any, source: str, table: Table, month: str) -> str | None:
    """Content digest of the last recorded version; None if there is none."""
    cursor.execute(
        "SELECT content_sha256 FROM history.extracts WHERE source = %s AND as_of = %s AND table_name = %s"
        " ORDER BY recorded_at DESC LIMIT 1",
        (source, month, table.name),
    )
    found = cursor.fetchone()
    return found[0] if found else None


def _land(cursor: Any, source: str, table: Table, month: str) -> None:
    columns = ", ".join(table.header)
    cursor.execute(f"DELETE FROM live.{table.name} WHERE source = %s AND as_of = %s", (source, month))
    cursor.execute(
        f"INSERT INTO live.{table.name} (source, as_of, {columns}) SELECT %s, %s, {columns} FROM staging",
        (source, month),
    )


def _append_versions(cursor: Any, source: str, table: Table, month: str, moment: Any, every_row: bool) -> Recorded:
    """Append the rows that differ from the state before; every row if the version has other columns than that."""
    columns = ", ".join(table.header)
    # The key is in both, so that a table of which a source delivers no column can be compared, too.
    old, new = (", ".join(f"{alias}.{name}" for name in table.header) for alias in ("state", "staging"))
    state = state_query(cursor, source, table, month, None)
    cursor.execute(
        f"CREATE TEMP TABLE versions ON COMMIT DROP AS"
        f" SELECT staging.*, false AS retracted, state.{ENTITY_KEY} IS NULL AS fresh"
        f" FROM staging LEFT JOIN ({state}) state USING ({ENTITY_KEY})"
        f" WHERE {every_row} OR state.{ENTITY_KEY} IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new})"
    )
    cursor.execute(
        f"INSERT INTO versions ({ENTITY_KEY}, retracted, fresh)"
        f" SELECT {ENTITY_KEY}, true, false FROM ({state}) state"
        f" WHERE NOT EXISTS (SELECT FROM staging WHERE staging.{ENTITY_KEY} = state.{ENTITY_KEY})"
    )
    cursor.execute(
        f"INSERT INTO history.{table.name} (source, as_of, recorded_at, {columns}, retracted)"
        f" SELECT %s, %s, %s, {columns}, retracted FROM versions",
        (source, month, moment),
    )
    cursor.execute(
        "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh AND NOT retracted),"
        " count(*) FILTER (WHERE retracted) FROM versions"
    )
    added, changed, retracted = cursor.fetchone()
    cursor.execute("DROP TABLE versions")
    return Recorded(table.name, added, changed, retracted)


def state_query(cursor: Any, source: str, table: Table, month: str, known_at: str | None) -> str:
    """The query of the rows of a month as known at `known_at` (None: now), in the columns of `table`, sorted by user."""
    columns = ", ".join(table.header)
    return bound(
        cursor,
        f"SELECT {columns} FROM (SELECT DISTINCT ON ({ENTITY_KEY}) * FROM history.{table.name}"
        f" WHERE source = %s AND as_of = %s"
        f" AND (%s::timestamptz IS NULL OR recorded_at <= %s::timestamptz)"
        f" ORDER BY {ENTITY_KEY}, recorded_at DESC) latest WHERE NOT retracted ORDER BY {ENTITY_KEY}",
        source,
        month,
        known_at,
        known_at,
    )


def bound(cursor: Any, query: str, *values: Any) -> str:
    """A query with its values written into it, for use within another."""
    text: bytes = cursor.mogrify(query, values)
    return text.decode()
