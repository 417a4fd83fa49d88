"""The columns that a recorded version had: the schema may get more, or wider ones, and the version stays as it was."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.schema import ENTITY_KEY, Column, Kind, Table

Columns = Sequence[Sequence[str]]
"""Name and kind of each column, the key first, as history.extracts keeps them."""
_KINDS: dict[pa.DataType, Kind] = {kind: name for name, kind in ARROW_TYPES.items()}


def columns_of(rows: pa.Schema) -> list[list[str]]:
    """Name and kind of each column of some rows."""
    return [[field.name, _KINDS[field.type]] for field in rows]


def table_with(table: Table, columns: Columns) -> Table:
    """A table as it was when it had other columns than in the schema now.

    A column that the schema has no longer holds NULL or not, as it comes.
    """
    now = {column.name: column for column in table.columns}
    found = []
    for name, kind in columns:
        if name != ENTITY_KEY:
            known = now.get(name, Column(name, "text", "a column that the schema has no longer", nullable=True))
            found.append(replace(known, kind=kind))  # type: ignore[arg-type]
    return Table(table.name, tuple(found))


def table_of(table: Table, rows: pa.Schema) -> Table:
    """A table with the columns that some rows have; others than its own are left out."""
    names = set(table.header)
    return table_with(table, [each for each in columns_of(rows) if each[0] in names])


def recorded_table(cursor: Any, source: str, table: Table, month: str, known_at: str | None = None) -> Table | None:
    """A month's table as its version known at `known_at` (None: the last) had it; None if there was none."""
    cursor.execute(
        "SELECT columns FROM history.extracts WHERE source = %s AND as_of = %s AND table_name = %s"
        " AND (%s::timestamptz IS NULL OR recorded_at <= %s::timestamptz) ORDER BY recorded_at DESC LIMIT 1",
        (source, month, table.name, known_at, known_at),
    )
    found = cursor.fetchone()
    return table_with(table, found[0]) if found else None


def as_delivered(rows: pa.Table, recorded: Table | None) -> pa.Table:
    """Live rows without the columns that a month was recorded without and that hold nothing but NULL."""
    if recorded is None:
        return rows
    kinds = {column.name: ARROW_TYPES[column.kind] for column in recorded.columns}
    for name in rows.column_names[1:]:
        if name not in kinds and rows[name].null_count == rows.num_rows:
            rows = rows.drop_columns([name])
        elif name in kinds and kinds[name] != rows[name].type and _is_whole(rows[name]):
            at = rows.column_names.index(name)
            field = rows.schema.field(name).with_type(kinds[name])
            rows = rows.set_column(at, field, rows[name].cast(kinds[name]))
    return rows


def _is_whole(values: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.equal(values, pc.trunc(values)), skip_nulls=True).as_py() in (True, None))
