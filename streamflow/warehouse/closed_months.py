"""Months that need not be read again: delivery, checks and receipt are those of the last look, and no row was touched since.

A witness is a shortcut and proves nothing: `streamflow doctor` and `fsck` read every row, whatever it says, and a month is
frozen only if its rows have the ledger's digests. It lies in the state folder of the clone that looked: without it the month
is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamflow.core.digest import bytes_sha256, mapping_sha256
from streamflow.core.schema import TABLES
from streamflow.pipeline.project import replacing, state_dir
from streamflow.warehouse.definitions import HISTORY
from streamflow.warehouse.history import Warehouse

_FILE = "closed_months.json"


def witness_file() -> Path:
    """The file of the witnesses; `streamflow repro --force` removes it."""
    return state_dir() / _FILE


def touched(store: Warehouse) -> dict[str, dict[str, list[int]]]:
    """Month to what the rows of each of its tables say of their last change: their number, and the sum of their `xmin`.

    Postgres gives each row the number of the transaction that wrote it, also if triggers are off; any insert, update or
    delete changes one of the two.
    """
    names = [*(f"{space}.{table.name}" for space in ("live", HISTORY) for table in TABLES), f"{HISTORY}.extracts"]
    query = " UNION ALL ".join(
        f"SELECT '{name}', as_of::text, count(*), sum(xmin::text::bigint)::bigint FROM {name}"
        " WHERE source = %s GROUP BY as_of"
        for name in names
    )
    found: dict[str, dict[str, list[int]]] = {}
    with store.transaction() as cursor:
        cursor.execute(query, [store.source] * len(names))
        for name, month, rows, sum_of_xmin in cursor.fetchall():
            found.setdefault(month, {})[name] = [rows, sum_of_xmin]
    return found


def live_rows(rows: Mapping[str, list[int]] | None) -> dict[str, list[int]]:
    """What `touched` says of a month's live tables."""
    return {name: found for name, found in (rows or {}).items() if name.startswith("live.")}


def witness(delivery: Mapping[str, Any], receipt: Path, rows: Mapping[str, list[int]] | None) -> str:
    """Digest of what was looked at: the delivery and how it is checked, the receipt's bytes, and `touched` of the rows.

    Empty if there is no receipt or there are no rows: the month has to be read.
    """
    if not rows or not receipt.is_file():
        return ""
    content = {
        "delivery": json.dumps(delivery, sort_keys=True),
        "receipt": bytes_sha256(receipt.read_bytes()),
        "rows": json.dumps(rows, sort_keys=True),
    }
    return mapping_sha256(content)


class ClosedMonths:
    """The witnesses of one source, by month."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._known = _read()

    def is_closed(self, month: str, found: str) -> bool:
        """Whether a month is as it was when it was looked at last; `found` is its witness now."""
        return bool(found) and self._known.get(self._source, {}).get(month) == found

    def close(self, months: Mapping[str, str]) -> None:
        """Keep the witnesses of months that were looked at."""
        if not months:
            return
        self._known[self._source] = {**self._known.get(self._source, {}), **months}
        with replacing(witness_file()) as partial:
            partial.write_text(json.dumps(self._known, indent=1, sort_keys=True), encoding="utf-8")


def _read() -> dict[str, dict[str, str]]:
    try:
        found = json.loads(witness_file().read_text(encoding="utf-8"))
        return {source: dict(months) for source, months in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # nothing is known: every month is read
