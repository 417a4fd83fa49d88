"""What the tables of a database lack of the schema: columns, wider types, what a row must have; and how each is mended."""

from dataclasses import dataclass
from typing import Any

from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES, Column, Table
from streamflow.warehouse.definitions import HISTORY, SQL_TYPES, complete_rows

_COLUMNS = """
    SELECT nspname, relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute
    JOIN pg_class class ON class.oid = attrelid
    JOIN pg_namespace space ON space.oid = relnamespace
    WHERE nspname IN ('live', 'history') AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
"""
_CHECKS = """
    SELECT nspname, conname FROM pg_constraint JOIN pg_namespace space ON space.oid = connamespace
    WHERE contype = 'c' AND nspname IN ('live', 'history')
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


@dataclass(frozen=True)
class Demand:
    """A table that demands its columns of each row by NOT NULL: mapped sources may lack some, all others may not."""

    space: str
    table: Table

    @property
    def what(self) -> str:
        """The change in words."""
        return f"{self.space}.{self.table.name} takes rows of mapped sources without the columns that these lack"

    def carry_out(self, cursor: Any) -> None:
        """Put one named check in the place of NOT NULL, and of the checks that were there."""
        name = f"{self.space}.{self.table.name}"
        cursor.execute("SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass", (name,))
        for (check,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {name} DROP CONSTRAINT "{check}"')
        required = [column.name for column in self.table.columns if not column.nullable]
        for column in required:
            cursor.execute(f"ALTER TABLE {name} ALTER COLUMN {column} DROP NOT NULL")
        complete = complete_rows(*required)
        condition = complete if self.space == "live" else f"retracted OR {complete}"
        cursor.execute(f"ALTER TABLE {name} ADD CONSTRAINT {self.table.name}_complete CHECK ({condition})")


def reshapings(cursor: Any) -> list[Reshaping | Demand]:
    """What the tables of live and history lack, or have otherwise; none of a table that is not there."""
    cursor.execute(_COLUMNS)
    present = {(space, table, name): kind for space, table, name, kind in cursor.fetchall()}
    tables = {(space, table) for space, table, _ in present}
    cursor.execute(_CHECKS)
    checked = set(cursor.fetchall())
    columns = [
        Reshaping(space, table.name, column, before)
        for table in TABLES
        for space in ("live", HISTORY)
        if (space, table.name) in tables
        for column in table.columns
        if (before := present.get((space, table.name, column.name))) != SQL_TYPES[column.kind]
    ]
    demands = [
        Demand(space, table)
        for table in TABLES
        for space in ("live", HISTORY)
        if (space, table.name) in tables and (space, f"{table.name}_complete") not in checked
    ]
    return [*columns, *demands]
