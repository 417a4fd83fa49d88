"""Snapshots frozen again from Postgres history, for `streamflow rerun --from-source`."""

import os
from collections.abc import Callable
from pathlib import Path

import yaml

from streamflow.core.config import identity_in
from streamflow.core.errors import HistoryError, StreamFlowError
from streamflow.core.yaml_text import parse_yaml
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.postgres.connection import URL_VARIABLE
from streamflow.postgres.server import database
from streamflow.provenance.cache import Cache, local_cache
from streamflow.provenance.result import Result
from streamflow.trust.erasure_records import signed_erasures
from streamflow.warehouse.history import Warehouse, warehouse
from streamflow.warehouse.source_drift import source_drift


def refreeze(folder: Path, result: Result, run: Callable[..., str]) -> dict[str, str]:
    """Freeze every month of a result from the history as it was known when the result was made.

    Returns month to the differences from the frozen rows, for months that differ. Only reads. Raises HistoryError if
    the history never had the rows of a month, or the stage refuses a version whose rows are not what was recorded.
    """
    # As the commit's own code has them: this code may know other keys.
    source, asked = identity_in(result.params["source"]), result.params.get("known_at")
    receipts = _ingest_receipts(folder, result)
    params = folder / "params.yaml"
    composed = params.read_text(encoding="utf-8")
    drifted: dict[str, str] = {}
    with database() as url, warehouse(url, source) as store:
        for month, md5 in result.snapshots.items():
            known_at = asked or _known_at(store, month, receipts[month])
            params.write_text(
                yaml.safe_dump({**result.params, "known_at": known_at}, sort_keys=False), encoding="utf-8"
            )
            # The one setting of the user that a stage needs here: its home is not the user's.
            passwords = os.environ.get("PGPASSFILE") or str(Path.home() / ".pgpass")
            failed = run([f"snapshot@{month}"], **{URL_VARIABLE: url, "PGPASSFILE": passwords})
            params.write_text(composed, encoding="utf-8")
            words = _drift_in_words(store, month, md5, result, known_at)
            if failed:
                raise HistoryError(
                    f"{month} can't be frozen from the history: {failed}{f' ({words})' if words else ''}"
                )
            if words:
                drifted[month] = words
    return drifted


def _known_at(store: Warehouse, month: str, digests: dict[str, str]) -> str:
    known = signed_erasures()
    moment = store.known_when(month, {name: known.left_of(digest) for name, digest in digests.items()})
    if moment is None:
        raise HistoryError(
            f"the history never had the rows of {month} that the result read; `streamflow repro` ingests the extracts again,"
            " or rerun without --from-source"
        )
    return moment


def _ingest_receipts(folder: Path, result: Result) -> dict[str, dict[str, str]]:
    read = {
        month: parse_yaml((folder / "artifacts" / "ingest" / f"{month}.json").read_text(encoding="utf-8"))
        for month in result.snapshots
    }
    return {
        month: {name: str(table["content_sha256"]) for name, table in receipt["tables"].items()}
        for month, receipt in read.items()
    }


def _drift_in_words(store: Warehouse, month: str, md5: str, result: Result, known_at: str) -> str:
    import tempfile

    cache: Cache = local_cache()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            cache.restore(Path(scratch) / month, md5, result.receipts, f"{SNAPSHOTS}/{month}")
        except StreamFlowError:
            return f"the history of {month} differs from what was frozen (DVC's cache lacks the frozen rows to compare)"
        return "; ".join(each.what for each in source_drift(store, [month], known_at, Path(scratch)))
