"""Stage `ingest`: reads the months' extracts, writes Postgres live tables and history and artifacts/ingest/MONTH.json.

Runs each time and is idempotent: an extract that is recorded changes nothing, a corrected one becomes a new version, an
empty database is filled again. A month that nothing has happened to since the last look is not read. Everything of a month
is validated before one transaction writes it.
"""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from streamflow.core.arrow import sorted_by_user
from streamflow.core.calendar import months_between, parse_date
from streamflow.core.commitments import commitments_sha256
from streamflow.core.config import Config, SourceConfig, plain, source_identity
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import ExtractError, HistoryError
from streamflow.core.schema import TABLES, Table
from streamflow.extracts.csv_files import month_folder, read_month
from streamflow.extracts.mapped import delivered_files, read_mapped
from streamflow.extracts.synthetic import generate_month
from streamflow.extracts.validation import check_month, check_row_count
from streamflow.pipeline.file_digest import file_sha256, tree_sha256
from streamflow.pipeline.layout import ERASURES, INGEST_RECEIPTS
from streamflow.pipeline.project import write_json
from streamflow.pipeline.reporting import one_line_errors, progress, say
from streamflow.pipeline.stage import stage
from streamflow.postgres.server import database
from streamflow.trust.erasure_records import signed_erasures
from streamflow.warehouse.chain import chained
from streamflow.warehouse.closed_months import ClosedMonths, live_rows, touched, witness
from streamflow.warehouse.differences import describe_differences
from streamflow.warehouse.erased import refuse_erased, without_erased
from streamflow.warehouse.history import Warehouse, warehouse
from streamflow.warehouse.plausible import Finding, kept, plausibility
from streamflow.warehouse.recorded_columns import as_delivered, table_of
from streamflow.warehouse.versions import RESTORE, ledger_versions

PACKAGE = Path(__file__).resolve().parents[1] / "streamflow"
CHECKING_ROOMS = ("core", "extracts", "trust", "warehouse")
"""The rooms whose code decides what is recorded of a month; if it changes, every month is read again."""
CHECK_IT = "Somebody changed the database: run `streamflow doctor`"

Extracts = dict[str, pa.Table]


def run_all(config: Config, store: Warehouse) -> None:
    """Record every month, the earliest first, and write their receipts; months that are closed are not read."""
    months, closed = sorted(config.months), ClosedMonths(store.source)
    for one, following in pairwise(months):
        if missing := months_between(one, following) - 1:
            words = "1 month is" if missing == 1 else f"{missing} months are"
            say(f"ingest: {words} missing between {one} and {following}; nothing is derived from them")
    restore_protection(store, ", ".join(months))
    before = touched(store)
    deliveries, unread, looked_at = {}, [], []
    for month in months:
        with one_line_errors(f"ingest {month}"):
            deliveries[month] = delivery(config, month)
    for month in months:
        if closed.is_closed(month, witness(deliveries[month], receipt_path(month), before.get(month))):
            unread.append(month)
            continue
        with one_line_errors(f"ingest {month}"):
            is_sound = run(config, month, store)
        if is_sound and deliveries[month]:
            looked_at.append(month)
    after = touched(store)
    closed.close(
        {
            month: witness(deliveries[month], receipt_path(month), after.get(month))
            for month in looked_at
            # Rows that others landed while they were read may not be among those that were read.
            if not store.is_landed or live_rows(before.get(month)) == live_rows(after.get(month))
        }
    )
    if unread:
        say(
            f"ingest: {len(unread)} of {len(months)} months are as at the last look; `streamflow doctor` reads every row"
        )


def delivery(config: Config, month: str) -> dict[str, str]:
    """What a month's rows come from and what they are checked by, as digests; empty if only reading tells."""
    source = config.source
    if source.tables and source.kind == "postgres":
        return {}  # a query of tables that others change
    files: list[Path] = []
    if source.tables:
        files = delivered_files(source, month)
    elif source.name == "csv":
        folder = month_folder(Path(str(source.dir)), month, source.folders, str(source.first_month))
        files = [folder / f"{table.name}.csv" for table in TABLES]
    if not all(path.is_file() and os.access(path, os.R_OK) for path in files):
        return {}  # who reads them says which is missing
    return {
        **{str(path): file_sha256(path) for path in files},
        "erasures": tree_sha256(ERASURES),
        "source": json.dumps(plain(source), sort_keys=True),
        "limits": json.dumps({name: plain(limit) for name, limit in config.limits.items()}, sort_keys=True),
        "stage": file_sha256(Path(__file__)),
        **{room: tree_sha256(PACKAGE / room) for room in CHECKING_ROOMS},
    }


def restore_protection(store: Warehouse, where: str) -> None:
    """Have the history refuse changes again where it no longer does, and say so."""
    for changed in store.protect():
        print(f"ingest {where}: {changed} no longer refused changes; restored. {CHECK_IT}", file=sys.stderr)


def receipt_path(month: str) -> Path:
    """The file of a month's receipt."""
    return INGEST_RECEIPTS / f"{month}.json"


def run(config: Config, month: str, store: Warehouse) -> bool:
    """Record `month` in the warehouse and write its receipt; returns whether the history is what it was recorded as."""
    restore_protection(store, month)
    extracts, origins = read_extracts(config.source, month, store)
    extracts, erased = without_erased(store, extracts)
    if erased:
        say(f"ingest {month}: {erased} users of the extract were erased before; they are left out")

    rows = {name: sorted_by_user(table) for name, table in extracts.items()}
    digests = {name: rows_sha256(table) for name, table in rows.items()}
    erasures = signed_erasures()
    refuse_erased(month, digests, erasures)
    drift = history_drift(store, month, rows, digests)
    is_new = {table.name: store.recorded_digest(table, month) for table in TABLES} != digests
    if drift and is_new:
        raise HistoryError(f"{drift[0]}; a new extract can't be recorded before that is fixed; {RESTORE}")
    for line in drift:
        print(f"ingest {month}: drift: {line}; frozen snapshots are not affected; {RESTORE}", file=sys.stderr)
    if is_new:
        check_month(extracts, origins, parse_date(month, "months"))
        check_collapse(store, month, rows, config.source.max_row_drop, origins)
        waved_through = plausibility(store, month, rows, digests, config.limits, erasures)
    else:
        waved_through = kept(month, digests, erasures)
    live = store.live_month(month)
    live_differs = any(
        rows_sha256(as_delivered(live[table.name], table_of(table, rows[table.name].schema))) != digests[table.name]
        for table in TABLES
    )
    tables = progress(TABLES, f"recording {month}")
    appended = store.record(month, rows, tables) if is_new or live_differs else []

    write_json(receipt_path(month), receipt(store, month, rows, digests, waved_through))
    counts = ", ".join(f"{each.table} +{each.total}" for each in appended if each.total)
    say(f"ingest {month}: {rows['users'].num_rows} users; {counts or 'nothing new'}")
    return not drift


def read_extracts(source: SourceConfig, month: str, store: Warehouse) -> tuple[Extracts, dict[str, str]]:
    """The typed rows of a month from the configured source, and where each table came from."""
    if source.tables:
        return read_mapped(source, month, store.answer)
    if source.name == "csv":
        folder = month_folder(Path(str(source.dir)), month, source.folders, str(source.first_month))
        return read_month(folder, recorded_tables(store, month))
    if source.name == "synthetic":
        tables = generate_month(int(source.users or 0), month, int(source.seed or 0))
        return tables, {name: f"synthetic {name}" for name in tables}
    return read_live(month, store)


def read_live(month: str, store: Warehouse) -> tuple[Extracts, dict[str, str]]:
    """The live rows of other programs; if a recorded month has no live rows, the recorded version stays."""
    live = live_as_recorded(store, month)
    if any(table.num_rows for table in live.values()):
        return live, {name: f"live.{name}" for name in live}
    history = {table.name: store.history_rows(table, month) for table in TABLES}
    if not any(table.num_rows for table in history.values()):
        raise ExtractError(f"live.users has no rows with as_of {month}; insert them, then `streamflow repro`")
    say(f"ingest {month}: the live tables have no rows of it; the recorded version stays")
    return history, {name: f"history.{name}" for name in history}


def recorded_tables(store: Warehouse, month: str) -> dict[str, Table]:
    """Each table of a month with the columns of its last recorded version, if there is one."""
    return {table.name: known for table in TABLES if (known := store.recorded_table(table, month))}


def live_as_recorded(store: Warehouse, month: str) -> Extracts:
    """The live rows of a month, without columns that hold nothing and that it was recorded without."""
    recorded = recorded_tables(store, month)
    return {name: as_delivered(rows, recorded.get(name)) for name, rows in store.live_month(month).items()}


def history_drift(store: Warehouse, month: str, rows: Extracts, digests: dict[str, str]) -> list[str]:
    """Rows of a month's history that were changed after they were recorded, one phrase for each table."""
    found = []
    for table in TABLES:
        recorded = store.recorded_digest(table, month)
        history = store.history_rows(table, month) if recorded is not None else None
        if history is not None and rows_sha256(history) != recorded:
            known = rows[table.name] if digests[table.name] == recorded else None
            what = describe_differences(known, history) if known is not None else f"its digest is not {recorded[:12]}"
            found.append(f"history.{table.name} of {month} was changed after it was recorded: {what}")
    return found


def check_collapse(store: Warehouse, month: str, rows: Extracts, max_row_drop: float, origins: dict[str, str]) -> None:
    """Check that no table has far fewer rows than its last recorded month or version. Raises ExtractError."""
    for table in TABLES:
        if before := store.rows_before(table, month):
            check_row_count(rows[table.name].num_rows, before[1], before[0], max_row_drop, origins[table.name])


def receipt(
    store: Warehouse, month: str, rows: Extracts, digests: dict[str, str], waved_through: list[Finding]
) -> dict[str, object]:
    """Facts of a month: rows, content digest and the chain of recorded versions of each table; no time, no path.

    `waved_through` is in it only if something was.
    """
    return {
        "as_of": month,
        **({"waved_through": waved_through} if waved_through else {}),
        "source": store.source,
        "tables": {
            table.name: {
                "rows": rows[table.name].num_rows,
                "content_sha256": digests[table.name],
                "commitments_sha256": commitments_sha256(rows[table.name]),
                **chained([version.content_sha256 for version in ledger_versions(store, table, month)]),
            }
            for table in TABLES
        },
    }


def main() -> None:
    with (
        stage("ingest") as config,
        database() as url,
        warehouse(url, source_identity(config.source)) as store,
    ):
        run_all(config, store)


if __name__ == "__main__":
    main()
