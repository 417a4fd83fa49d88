"""Frozen months with the columns that the schema has now: those that a month was recorded without are filled with NULL."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.arrow import arrow_schema
from streamflow.core.errors import HistoryError
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, TABLES, USERS, Table
from streamflow.pipeline.parquet import frozen_schema, write_parquet


@contextmanager
def complete_month(folder: Path, wanted: Collection[str] = ()) -> Iterator[Path]:
    """A frozen month's folder with every table and column of the schema: the folder itself, or a copy filled up with NULL.

    Raises HistoryError if one of the columns `wanted` is lacking and may not be NULL.
    """
    if not (folder / f"{USERS.name}.parquet").is_file() or not any(_lacks(folder, table) for table in TABLES):
        yield folder  # if it has no users either, who reads it says what is wrong
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / folder.name
        copy.mkdir()
        for table in TABLES:
            path = copy / f"{table.name}.parquet"
            if _lacks(folder, table):
                rows = _filled(folder, table, wanted)
                write_parquet(path, rows.schema, rows.to_batches())
            else:
                path.symlink_to((folder / path.name).resolve())
        yield copy


def _lacks(folder: Path, table: Table) -> bool:
    path = folder / f"{table.name}.parquet"
    if not path.is_file():
        return True
    found = pq.read_schema(path)
    return any(
        field.name not in found.names or found.field(field.name).type != field.type for field in arrow_schema(table)
    )


def _filled(folder: Path, table: Table, wanted: Collection[str]) -> pa.Table:
    path = folder / f"{table.name}.parquet"
    source = path if path.is_file() else folder / f"{USERS.name}.parquet"
    rows = pq.read_table(source) if path.is_file() else pq.read_table(source, columns=[ENTITY_KEY, EVENT_TIMESTAMP])
    arrays = []
    for field in frozen_schema(table):
        if field.name in rows.column_names:
            arrays.append(rows[field.name].cast(field.type))
        elif field.nullable or field.name not in wanted:
            arrays.append(pa.chunked_array([pa.nulls(rows.num_rows, field.type)]))
        else:
            raise HistoryError(
                f"{folder.name} was recorded without {table.name}.{field.name}, which may not be NULL; deliver the month"
                " with it, or make the column nullable in streamflow/core/schema.py"
            )
    schema = frozen_schema(table)
    return pa.Table.from_arrays(arrays, schema=pa.schema([field.with_nullable(True) for field in schema]))
