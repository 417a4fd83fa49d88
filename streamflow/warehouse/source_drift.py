"""Postgres history against the frozen snapshots: rows that were changed without a new version."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.arrow import arrow_schema
from streamflow.core.digest import rows_sha256
from streamflow.core.schema import TABLES, Table
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.warehouse.differences import describe_differences
from streamflow.warehouse.history import Warehouse
from streamflow.warehouse.recorded_columns import as_delivered, table_of

REFILL = "`streamflow repro` ingests it again"
NOT_FROZEN = "has a correction that is not frozen"
EDITED = "was changed after it was frozen"
RESTORE = "restore the rows, or the database from its backup; frozen files and models are not affected"


@dataclass(frozen=True)
class SourceDrift:
    """One table of one month that differs from what was frozen, in words, and the command that fixes it."""

    what: str
    fix: str


def source_drift(
    store: Warehouse, months: Iterable[str], known_at: str | None, snapshots: Path = SNAPSHOTS
) -> list[SourceDrift]:
    """Each table of each frozen month whose history differs from the frozen rows; other months are skipped."""
    found = []
    for month in months:
        for table in TABLES:
            path = snapshots / month / f"{table.name}.parquet"
            if path.exists() and (drift := table_drift(store, table, month, known_at, frozen_rows(table, path))):
                found.append(drift)
    return found


def live_drift(store: Warehouse, months: Iterable[str]) -> list[SourceDrift]:
    """Each live table of a month that differs from its last recorded version."""
    found = []
    for month in months:
        live = store.live_month(month)
        for table in TABLES:
            recorded = store.recorded_digest(table, month)
            delivered = as_delivered(live[table.name], store.recorded_table(table, month))
            rows = delivered.num_rows
            if not rows and store.is_landed:
                continue  # other programs may delete their rows; the recorded version stays
            if recorded is not None and rows_sha256(delivered) != recorded:
                expected = store.history_rows(table, month)
                what = describe_differences(expected, delivered) if rows else f"has 0 of {expected.num_rows} rows"
                found.append(SourceDrift(f"live.{table.name} of {month}: {what}", REFILL))
    return found


def frozen_rows(table: Table, path: Path) -> pa.Table:
    """The rows of a frozen table as they are in the history, without the event timestamp, with the columns of the file."""
    frozen = pq.read_schema(path)
    schema = arrow_schema(table_of(table, pa.schema([field for field in frozen if field.name in table.header])))
    return pq.read_table(path, columns=schema.names).select(schema.names).cast(schema)


def table_drift(
    store: Warehouse, table: Table, month: str, known_at: str | None, frozen: pa.Table
) -> SourceDrift | None:
    """How the history of a table differs from its frozen rows; None if it does not."""
    recorded = store.recorded_digest(table, month)
    history = store.history_rows(table, month, known_at)
    if rows_sha256(history) == rows_sha256(frozen):
        return None
    name = f"history.{table.name} of {month}"
    if recorded is None:
        return SourceDrift(f"{name} has no rows", REFILL)
    what = describe_differences(frozen, history)
    if known_at is None and recorded == rows_sha256(history):
        return SourceDrift(f"{name} {NOT_FROZEN}: {what}", "`streamflow repro` freezes it")
    return SourceDrift(f"{name} {EDITED}: {what}", RESTORE)
