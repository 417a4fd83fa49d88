"""Rows out of Postgres and into it by COPY, as Arrow."""

import io
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv

from streamflow.core.arrow import arrow_schema
from streamflow.core.errors import HistoryError, first_line, shown
from streamflow.core.schema import Table

_BLOCK_BYTES = 8 << 20


def copied_table(cursor: Any, table: Table, query: str) -> pa.Table:
    """The rows of a query over `table`'s columns, as one table."""
    return pa.Table.from_batches(copied_batches(cursor, table, query), schema=arrow_schema(table))


def copied_batches(cursor: Any, table: Table, query: str) -> Iterator[pa.RecordBatch]:
    """COPY to a file on disk, then stream it: memory stays bounded, and floats keep every bit in CSV's text.

    Raises HistoryError for a value that Postgres can hold and Arrow can't: a date before Christ, after 9999, or infinity.
    """
    schema = arrow_schema(table)
    with tempfile.TemporaryFile() as spool:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true)", spool)
        spool.seek(0)
        try:
            reader = pyarrow.csv.open_csv(
                spool,
                read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=schema,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    true_values=["t"],
                    false_values=["f"],
                ),
            )
            for batch in reader:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        except pa.ArrowInvalid as error:
            number, value = _unreadable(error)
            raise HistoryError(
                f"table {table.name}, column {table.header[number]}: {shown(value)} is no value of an extract; correct the"
                " row, then `streamflow repro`; nothing was written"
            ) from error


def _unreadable(error: pa.ArrowInvalid) -> tuple[int, str]:
    """The number of the column and the text that Arrow could not read."""
    found = re.search(r"column #(\d+): .*invalid value '(.*)'", str(error), re.DOTALL)
    return (int(found[1]), found[2]) if found else (0, first_line(error))


def csv_buffer(rows: pa.Table) -> io.BytesIO:
    """Rows as the text that COPY ... FROM STDIN (FORMAT csv, HEADER true) takes."""
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(rows, sink)
    return io.BytesIO(sink.getvalue().to_pybytes())
