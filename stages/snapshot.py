"""Stage `snapshot@MONTH`: reads Postgres history at MONTH, writes data/snapshots/MONTH/TABLE.parquet.

One REPEATABLE READ transaction, streamed with bounded memory, sorted by user. The rows must have the digest in
the receipt of the ingest, or with `known_at` that of the version recorded then, in the ledger and in the receipts of git and
working tree; otherwise the history was changed without a record, and the stage fails.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from streamflow.core.arrow import arrow_schema
from streamflow.core.calendar import instant
from streamflow.core.config import Config, source_identity
from streamflow.core.digest import RowsDigest
from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES
from streamflow.pipeline.layout import INGEST_RECEIPTS, SNAPSHOTS
from streamflow.pipeline.parquet import frozen_schema, with_event_timestamp, write_parquet
from streamflow.pipeline.reporting import progress, say
from streamflow.pipeline.stage import stage
from streamflow.postgres.server import database
from streamflow.warehouse.history import Warehouse, warehouse
from streamflow.warehouse.known_version import frozen_fault
from streamflow.warehouse.receipts import receipts_of


def run(config: Config, month: str, store: Warehouse) -> None:
    """Freeze `month` as it was known at `config.known_at`. Raises HistoryError if it is not what was ingested."""
    receipt = json.loads((INGEST_RECEIPTS / f"{month}.json").read_text(encoding="utf-8"))
    history = store.freeze(month, config.known_at)

    partial = SNAPSHOTS / f".{month}.partial"
    frozen: dict[str, str] = {}
    try:
        for table, batches in progress(history, f"freezing {month}", len(TABLES)):
            digest = RowsDigest(arrow_schema(table))
            stamped = (with_event_timestamp(batch, instant(month)) for batch in digest.through(batches))
            rows = write_parquet(partial / f"{table.name}.parquet", frozen_schema(table), stamped)
            frozen[table.name] = digest.hexdigest()
        if config.known_at is None:
            check_ingested(month, frozen, receipt)
        else:
            check_known(store, month, config.known_at, frozen)
        shutil.rmtree(SNAPSHOTS / month, ignore_errors=True)
        partial.replace(SNAPSHOTS / month)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"snapshot {month}: {rows} users in {len(frozen)} tables")


def check_ingested(month: str, frozen: Mapping[str, str], receipt: Mapping[str, Any]) -> None:
    """Check that each table's digest is that of the rows that were ingested. Raises HistoryError."""
    for name, digest in frozen.items():
        if digest != (expected := receipt["tables"][name]["content_sha256"]):
            raise HistoryError(
                f"history.{name} differs from what was ingested (receipt: {expected[:12]});"
                f" `dvc repro ingest` names the rows that were changed"
            )


def check_known(store: Warehouse, month: str, known_at: str, frozen: Mapping[str, str]) -> None:
    """Check that each table's digest is that of the version known at `known_at`. Raises HistoryError.

    The receipt that git holds counts too: that of this run says what the database says now.
    """
    receipts = receipts_of(month)
    for table in (each for each in TABLES if each.name in frozen):
        if fault := frozen_fault(store, table, month, known_at, frozen[table.name], receipts):
            raise HistoryError(fault)


def main() -> None:
    month = sys.argv[1]
    with (
        stage("snapshot", month) as config,
        database() as url,
        warehouse(url, source_identity(config.source)) as store,
    ):
        run(config, month, store)


if __name__ == "__main__":
    main()
