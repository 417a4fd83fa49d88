"""Rows that are about to be frozen as they were known at some time, against the ledger and the receipts."""

from collections.abc import Sequence

from streamflow.core.digest import rows_sha256
from streamflow.core.schema import Table
from streamflow.warehouse.chain import is_version
from streamflow.warehouse.history import Warehouse
from streamflow.warehouse.receipts import FILLED_ANEW, Receipt
from streamflow.warehouse.versions import RESTORE, ledger_versions, suspects


def frozen_fault(
    store: Warehouse, table: Table, month: str, known_at: str, found: str, receipts: Sequence[Receipt]
) -> str:
    """Why rows of the digest `found` are not the version known at `known_at`, by ledger and receipts; empty if they are.

    There was a version then: to read its rows raises otherwise.
    """
    recorded = ledger_versions(store, table, month)
    number = len(ledger_versions(store, table, month, known_at))
    digests = [version.content_sha256 for version in recorded]
    name = f"history.{table.name} of {month}, version {number} of {len(recorded)}"
    if found != digests[number - 1]:
        last = rows_sha256(store.history_rows(table, month))
        whose = suspects(store, table, month, recorded[number - 1], last == digests[-1])
        return f"{name}: the rows have another digest than was recorded ({digests[number - 1][:12]}){whose}; {RESTORE}"
    for receipt in receipts:
        if not is_version(receipt.versions(table.name, store.source), digests, number):
            return f"{name}: the rows and their record have another digest than {receipt.where}; {RESTORE}{FILLED_ANEW}"
    return ""
