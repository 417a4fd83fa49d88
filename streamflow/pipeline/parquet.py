"""Parquet files: the same rows give the same bytes."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.arrow import arrow_schema
from streamflow.core.schema import EVENT_TIMESTAMP, Table
from streamflow.pipeline.project import replacing

ROW_GROUP_ROWS = 131_072
# Feast's DuckDB store can't cast TIMESTAMPTZ_NS, so microseconds.
TIMESTAMP = pa.timestamp("us", tz="UTC")


def write_parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches in the order given, in row groups of a fixed size; returns the number of rows."""
    rows = 0
    with replacing(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd", version="2.6") as writer:
        for group in _row_groups(schema, batches):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            rows += group.num_rows
    return rows


def frozen_schema(table: Table) -> pa.Schema:
    """Arrow schema of a frozen table: the extract's, with the event timestamp as second column."""
    key, *values = arrow_schema(table)
    return pa.schema([key, pa.field(EVENT_TIMESTAMP, TIMESTAMP, nullable=False), *values])


def with_event_timestamp(batch: pa.RecordBatch, moment: datetime) -> pa.RecordBatch:
    """The batch with the event timestamp `moment` (UTC) as its second column."""
    column = pa.array([moment] * batch.num_rows, TIMESTAMP)
    return batch.add_column(1, pa.field(EVENT_TIMESTAMP, TIMESTAMP, nullable=False), column)


def _row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(held, schema).combine_chunks()
            yield table.slice(0, ROW_GROUP_ROWS)
            held, count = table.slice(ROW_GROUP_ROWS).to_batches(), count - ROW_GROUP_ROWS
    if count:
        yield pa.Table.from_batches(held, schema).combine_chunks()
