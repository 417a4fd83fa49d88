"""A result whose frozen months lack erased users: what is left is proven row by row, and the model is not derived again."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.digest import rows_sha256
from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES, Table
from streamflow.pipeline.layout import INGEST_RECEIPTS, SNAPSHOTS
from streamflow.provenance.cache import Cache, fetch, local_cache
from streamflow.provenance.erasures import Erasures
from streamflow.provenance.record import DIVERGED, ERASED
from streamflow.provenance.remainders import SALTS, is_proven
from streamflow.provenance.result import Result
from streamflow.rerun.verdict import Divergence
from streamflow.trust.erasure_records import signer_of
from streamflow.trust.keys import trusted_keys
from streamflow.warehouse.source_drift import frozen_rows

Say = Callable[[str], None]


def erased_from(result: Result, known: Erasures) -> int:
    """How many users were erased since from the frozen months of a result."""
    return max((known.snapshots[md5].users for md5 in result.snapshots.values() if md5 in known.snapshots), default=0)


def prove_the_rest(folder: Path, result: Result, known: Erasures, say: Say) -> tuple[str, Divergence | None, list[str]]:
    """Verdict on what is left of a result's months, the first table that is not proven, and in words what is.

    The root of a content's commitments is in the receipt of the commit; for a commit from before receipts had it, in the
    record of the erasure, and then it is said who signed that. Raises a StreamFlowError if rows or salts are nowhere.
    """
    cache = local_cache()
    proven: list[str] = []
    for month, md5 in result.snapshots.items():
        path = f"{SNAPSHOTS}/{month}"
        now = known.snapshots[md5].now if md5 in known.snapshots else md5
        _bring(cache, now, path, say)
        cache.restore(folder / path, now, {}, path)
        receipt = _receipt(folder, month)
        rows_of_month = 0
        for table in TABLES:
            file = folder / path / f"{table.name}.parquet"
            if not file.is_file():
                continue
            rows = frozen_rows(table, file)
            rows_of_month += rows.num_rows
            if fault := _fault(rows, table, receipt, known, cache, say):
                return DIVERGED, Divergence(f"snapshot@{month}", "data", f"{table.name}: {fault}"), proven
        proven.append(
            f"{month}: {rows_of_month} rows in {len(TABLES)} tables, by the root of {_vouched(receipt, known)}"
        )
    return ERASED, None, proven


def _fault(rows: pa.Table, table: Table, receipt: Mapping[str, Any], known: Erasures, cache: Cache, say: Say) -> str:
    digest = rows_sha256(rows)
    facts = receipt.get(table.name, {})
    recorded = [facts.get("content_sha256", ""), *facts.get("versions", ())]
    if digest in recorded:
        return ""  # none of the erased users was in it
    before = next((each for each in recorded if known.left_of(each) == digest), None)
    if before is None:
        return f"the rows have digest {digest[:12]}, which is nothing that is left of what the receipt names"
    content = known.contents[before]
    _bring(cache, content.salts_md5, f"the salts of {table.name}", say)
    salts = pq.read_table(io.BytesIO(cache.object(content.salts_md5).read_bytes()), schema=SALTS)
    root = _root(facts, before) or content.commitments_sha256
    if is_proven(rows, salts, content, root):
        return ""
    gone = len(content.tombstones)
    return f"the commitments of {rows.num_rows} rows and of {gone} erased ones don't make the root {root[:12]}"


def _root(facts: Mapping[str, Any], digest: str) -> str:
    return str(facts.get("commitments_sha256", "")) if facts.get("content_sha256") == digest else ""


def _vouched(receipt: Mapping[str, Any], known: Erasures) -> str:
    if all("commitments_sha256" in facts for facts in receipt.values()):
        return "the commit's own receipt"
    signers = {signer_of(record, trusted_keys()) or "nobody" for record in known.records}
    return f"the records in artifacts/erasures, signed by {', '.join(sorted(signers))}"


def _receipt(folder: Path, month: str) -> dict[str, Any]:
    path = folder / INGEST_RECEIPTS / f"{month}.json"
    try:
        tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["tables"]
    except (OSError, ValueError, KeyError) as error:
        raise HistoryError(f"the commit has no receipt of {month}, so nothing can be proven of its rows") from error
    return tables


def _bring(cache: Cache, md5: str, what: str, say: Say) -> None:
    if not cache.object(md5).is_file():
        say(f"{what} is not in the cache; fetching it from the remote")
        fetch([md5], cache)


def counted(users: int) -> str:
    """A number of users in words."""
    return f"{users} erased user{'' if users == 1 else 's'}"
