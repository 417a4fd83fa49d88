"""Columns of the schema that the tables of a database lack, or have in a narrower type: what is to be done about each."""

from dataclasses import dataclass
from typing import Any

from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES, Column
from streamflow.warehouse.definitions import HISTORY, SQL_TYPES, complete_rows

_COLUMNS = """
    SELECT nspname, relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute
    JOIN pg_class class ON class.oid = attrelid
    JOIN pg_namespace space ON space.oid = relnamespace
    WHERE nspname IN ('live', 'history') AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
"""
_WIDER = {("bigint", "double precision")}


@dataclass(frozen=True)
class Reshaping:
    """A change of one table: a column that it lacks, or whose type gets wider."""

    space: str
    table: str
    column: Column
    type_before: str | None

    @property
    def what(self) -> str:
        """The change in words."""
        name = f"{self.space}.{self.table}.{self.column.name}"
        now = SQL_TYPES[self.column.kind]
        return f"{name} added" if self.type_before is None else f"{name} is {now} now, {self.type_before} before"

    def carry_out(self, cursor: Any) -> None:
        """Make the change. Raises HistoryError if rows were written that can't have the column."""
        if self.type_before is None:
            self._add(cursor)
        else:
            self._widen(cursor)

    def _add(self, cursor: Any) -> None:
        required = ""
        if not self.column.nullable:
            cursor.execute(f"LOCK TABLE {self.space}.{self.table} IN ACCESS EXCLUSIVE MODE")
            cursor.execute(f"SELECT EXISTS (SELECT FROM {self.space}.{self.table})")
            if cursor.fetchone()[0]:
                raise HistoryError(
                    f"{self.space}.{self.table} has rows that were written without the column {self.column.name} of"
                    " streamflow/core/schema.py; make it nullable there, then `streamflow db upgrade`; nothing was changed"
                )
            complete = complete_rows(self.column.name)
            required = f" CHECK ({complete})" if self.space == "live" else f" CHECK (retracted OR {complete})"
        cursor.execute(
            f"ALTER TABLE {self.space}.{self.table} ADD COLUMN IF NOT EXISTS {self.column.name}"
            f" {SQL_TYPES[self.column.kind]}{required}"
        )

    def _widen(self, cursor: Any) -> None:
        now = SQL_TYPES[self.column.kind]
        if (self.type_before, now) not in _WIDER:
            raise HistoryError(
                f"{self.space}.{self.table}.{self.column.name} is {self.type_before} in the database, {now} in"
                " streamflow/core/schema.py; only integer can become real: give the new column another name; nothing was"
                " changed"
            )
        cursor.execute(f"ALTER TABLE {self.space}.{self.table} ALTER COLUMN {self.column.name} TYPE {now}")


def reshapings(cursor: Any) -> list[Reshaping]:
    """What the tables of live and history lack, or have in another type; none of a table that is not there."""
    cursor.execute(_COLUMNS)
    present = {(space, table, name): kind for space, table, name, kind in cursor.fetchall()}
    tables = {(space, table) for space, table, _ in present}
    return [
        Reshaping(space, table.name, column, before)
        for table in TABLES
        for space in ("live", HISTORY)
        if (space, table.name) in tables
        for column in table.columns
        if (before := present.get((space, table.name, column.name))) != SQL_TYPES[column.kind]
    ]
