"""Columns of the schema that the tables of a database lack: added while a table is empty, refused when it has rows."""

from typing import Any

from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES, Column
from streamflow.warehouse.definitions import HISTORY, SQL_TYPES

_COLUMNS = """
    SELECT nspname, relname, attname FROM pg_attribute
    JOIN pg_class class ON class.oid = attrelid
    JOIN pg_namespace space ON space.oid = relnamespace
    WHERE nspname IN ('live', 'history') AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
"""


def add_missing_columns(cursor: Any) -> None:
    """Add to the empty tables of live and history what the schema has and they lack; no effect if they lack nothing.

    Raises HistoryError, before anything is added to that table, if it has rows: they were recorded without the column.
    """
    cursor.execute(_COLUMNS)
    present = set(cursor.fetchall())
    for table in TABLES:
        for space in ("live", HISTORY):
            for column in table.columns:
                if (space, table.name, column.name) not in present:
                    _add(cursor, space, table.name, column)


def _add(cursor: Any, space: str, table: str, column: Column) -> None:
    cursor.execute(f"LOCK TABLE {space}.{table} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"SELECT EXISTS (SELECT FROM {space}.{table})")
    if cursor.fetchone()[0]:
        raise HistoryError(
            f"{space}.{table} has rows that were written without the column {column.name} of streamflow/core/schema.py;"
            " take the column out, or name a new database in STREAMFLOW_DATABASE_URL, then `streamflow repro`"
        )
    required = ""
    if not column.nullable:
        required = " NOT NULL" if space == "live" else f" CHECK (retracted OR {column.name} IS NOT NULL)"
    cursor.execute(
        f"ALTER TABLE {space}.{table} ADD COLUMN IF NOT EXISTS {column.name} {SQL_TYPES[column.kind]}{required}"
    )
