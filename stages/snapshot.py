"""Stage `snapshot@MONTH`: reads Postgres history at MONTH, writes data/snapshots/MONTH/TABLE.parquet.

One REPEATABLE READ transaction, streamed with bounded memory, sorted by user. The rows must have the digest in
the receipt of the ingest; otherwise the history was changed without a record, and the stage fails.
"""

import json
import shutil
import sys

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


def run(config: Config, month: str, store: Warehouse) -> None:
    """Freeze `month` as it was known at `config.known_at`. Raises HistoryError if it is not what was ingested."""
    receipt = json.loads((INGEST_RECEIPTS / f"{month}.json").read_text(encoding="utf-8"))
    history = store.freeze(month, config.known_at)

    partial = SNAPSHOTS / f".{month}.partial"
    try:
        for table, batches in progress(history, f"freezing {month}", len(TABLES)):
            digest = RowsDigest(arrow_schema(table))
            stamped = (with_event_timestamp(batch, instant(month)) for batch in digest.through(batches))
            rows = write_parquet(partial / f"{table.name}.parquet", frozen_schema(table), stamped)
            expected = receipt["tables"][table.name]["content_sha256"]
            if config.known_at is None and digest.hexdigest() != expected:
                raise HistoryError(
                    f"history.{table.name} differs from what was ingested (receipt: {expected[:12]});"
                    f" `dvc repro ingest@{month}` names the rows that were changed"
                )
        shutil.rmtree(SNAPSHOTS / month, ignore_errors=True)
        partial.replace(SNAPSHOTS / month)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"snapshot {month}: {rows} users in {len(TABLES)} tables")


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
