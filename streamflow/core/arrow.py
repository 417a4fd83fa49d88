"""The extracts as Arrow tables: types from the schema, and strict conversion of text to these types."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.errors import ExtractError, shown
from streamflow.core.schema import ENTITY_KEY, LONGEST_ID, Column, Kind, Table

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "real": pa.float64(),
    "date": pa.date32(),
}
_NOTATION: dict[Kind, tuple[str, str]] = {
    "text": (r"(?s)^.*$", "text"),
    "boolean": (r"^(True|False|true|false)$", "True or False"),
    "integer": (r"^-?[0-9]{1,18}$", "a whole number"),
    "real": (r"^-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?$", "a number"),
    "date": (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date (YYYY-MM-DD)"),
}
FIRST_DATA_ROW = 2
"""Row 1 of a file is its header; messages count rows like a text editor."""


def arrow_schema(table: Table) -> pa.Schema:
    """Key and columns of an extract; only columns that may hold NULL by design are nullable."""
    key = pa.field(ENTITY_KEY, pa.string(), nullable=False)
    return pa.schema([key, *(pa.field(c.name, ARROW_TYPES[c.kind], nullable=c.nullable) for c in table.columns)])


def typed_rows(table: Table, text: pa.Table, origin: str, names: Mapping[str, str] | None = None) -> pa.Table:
    """The rows of `text` (all columns string, NULL for an empty field), typed by the schema, order kept.

    Raises ExtractError naming `origin`, column, row and value of the first field that is empty or not of its type; `names`
    says what a message calls a column.
    """
    key = Column(ENTITY_KEY, "text", "")
    called = {
        column.name: replace(column, name=(names or {}).get(column.name, column.name))
        for column in (key, *table.columns)
    }
    arrays = [_typed(column, text[name], text[ENTITY_KEY], origin) for name, column in called.items()]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(table))


def sorted_by_user(rows: pa.Table) -> pa.Table:
    """The rows in the order of the key's UTF-8 bytes, in one chunk."""
    return rows.sort_by(ENTITY_KEY).combine_chunks()


def without_users(rows: pa.Table, users: Collection[str]) -> pa.Table:
    """The rows of all other users, in the same order."""
    if not users:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows[ENTITY_KEY], pa.array(sorted(users), pa.string()))))


def field_error(
    origin: str, column: str, row: int, user: str | None, value: object, rule: str, more: int = 0
) -> ExtractError:
    """The message for a bad field, in one line."""
    who = f", user {user[:LONGEST_ID]}" if user and column != ENTITY_KEY else ""
    others = f" (and {more} more)" if more else ""
    return ExtractError(
        f"{origin}: column {column}, row {row}{who}: {shown(value)} {rule}{others};"
        " fix the extract and run `streamflow repro` again; nothing was written"
    )


def _typed(column: Column, values: pa.ChunkedArray, users: pa.ChunkedArray, origin: str) -> pa.ChunkedArray:
    pattern, expected = _NOTATION[column.kind]
    if not column.nullable:
        _refuse_first(pc.is_null(values), column, values, users, origin, f"where {expected} must be")
    malformed = pc.invert(pc.match_substring_regex(values, pattern))
    _refuse_first(pc.fill_null(malformed, False), column, values, users, origin, f"is not {expected}")
    if column.kind == "boolean":
        values = pc.utf8_lower(values)
    try:
        typed = values.cast(ARROW_TYPES[column.kind])
    except pa.ArrowInvalid:
        bad = pa.chunked_array([[not _casts(value, column.kind) for value in values.to_pylist()]])
        _refuse_first(bad, column, values, users, origin, f"is not {expected}")
        raise
    if column.kind == "real":
        too_large = pc.fill_null(pc.is_inf(typed), False)
        _refuse_first(too_large, column, values, users, origin, f"is not {expected} that fits into 64 bits")
    return typed


def _casts(value: str | None, kind: Kind) -> bool:
    try:
        pa.array([value]).cast(ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        return False
    return True


def _refuse_first(
    bad: pa.ChunkedArray, column: Column, values: pa.ChunkedArray, users: pa.ChunkedArray, origin: str, rule: str
) -> None:
    row = pc.index(bad, True).as_py()
    if row < 0:
        return
    more = pc.sum(bad).as_py() - 1
    raise field_error(origin, column.name, row + FIRST_DATA_ROW, users[row].as_py(), values[row].as_py(), rule, more)
