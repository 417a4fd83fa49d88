"""Frozen months without some users: in DVC's cache and remotes, by the same files that the stage `snapshot` would write."""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.arrow import without_users
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import HistoryError
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, TABLES
from streamflow.operations.erase.stores import Store
from streamflow.operations.erase.traces import Traces, parquet_rows
from streamflow.pipeline.dvc_hash import folder_manifest, folder_md5
from streamflow.pipeline.parquet import write_parquet
from streamflow.provenance.erasures import ErasedContent, ErasedSnapshot, Erasures
from streamflow.provenance.remainders import SALTS, erased_content

_FILES = {f"{table.name}.parquet": table.name for table in TABLES}


@dataclass
class Plan:
    """What is to become of contents and objects: new ones are stored already, old ones are not yet removed.

    `contents` and `snapshots` as in a record; `holding`: MD5 of the objects that hold a user, by the name of the store.
    """

    contents: dict[str, ErasedContent] = field(default_factory=dict)
    snapshots: dict[str, ErasedSnapshot] = field(default_factory=dict)
    holding: dict[str, list[str]] = field(default_factory=dict)


class Planner:
    """Plans the erasure of users from contents of the history and from the objects of all stores."""

    def __init__(self, stores: Sequence[Store], users: set[str], known: Erasures) -> None:
        self.plan = Plan()
        self._stores, self._users, self._known = stores, users, known
        self._rewritten: dict[str, tuple[str, set[str]]] = {}

    def add(self, table: str, month: str, rows: pa.Table, digest: str) -> None:
        """Plan a content that holds users; rows are sorted by user."""
        if digest not in self.plan.contents:
            entries = erased_content(table, month, rows, self._users, self._known, self._salts, self._keep_salts)
            self.plan.contents.update(entries)

    def look_into_stores(self) -> None:
        """Plan every object of every store: frozen months get a successor, whatever else holds a user gets none."""
        traces = Traces(sorted(self._users))
        for store in self._stores:
            holding = [md5 for md5 in store.objects() if traces.in_bytes(store.read(md5))]
            self.plan.holding[store.name] = holding
            for manifest, files in _frozen_months(store):
                if set(files.values()) & set(holding):
                    self._succeed(store, manifest, files)

    def _succeed(self, store: Store, manifest: str, files: dict[str, str]) -> None:
        left, gone = {}, set[str]()
        for name, md5 in files.items():
            if md5 not in self._rewritten:
                self._rewritten[md5] = self._rewrite(store, name, md5)
            left[name], users = self._rewritten[md5]
            gone |= users
            self._copy(left[name], store)
        now = folder_md5(left)
        for each in (store, self._stores[0]):
            each.put(now, folder_manifest(left))
        self.plan.snapshots[manifest] = ErasedSnapshot(now, len(gone))

    def _rewrite(self, store: Store, name: str, md5: str) -> tuple[str, set[str]]:
        rows = parquet_rows(store.read(md5))
        if rows is None:
            raise HistoryError(
                f"object {md5[:12]} ({name}) of {store.name} is no frozen table; `streamflow fsck cache`"
            )
        gone = self._users & set(rows[ENTITY_KEY].to_pylist())
        if not gone:
            return md5, gone
        content = rows.drop_columns([EVENT_TIMESTAMP])
        month = rows[EVENT_TIMESTAMP][0].as_py().date().isoformat()
        self.add(_FILES[name], month, content, rows_sha256(content))
        return self._keep(parquet_bytes(without_users(rows, gone))), gone

    def _copy(self, md5: str, store: Store) -> None:
        if md5 not in store.objects():
            store.put(md5, self._stores[0].read(md5))

    def _salts(self, md5: str) -> pa.Table:
        for store in self._stores:
            if md5 in store.objects():
                return pq.read_table(io.BytesIO(store.read(md5)), schema=SALTS)
        raise HistoryError(
            f"the salts {md5[:12]} of an earlier erasure are in no cache or remote; `dvc push` them from another clone"
        )

    def _keep_salts(self, salts: pa.Table) -> str:
        md5 = self._keep(parquet_bytes(salts))
        for store in self._stores[1:]:
            store.put(md5, self._stores[0].read(md5))
        return md5

    def _keep(self, content: bytes) -> str:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self._stores[0].put(md5, content)
        return md5


def parquet_bytes(rows: pa.Table) -> bytes:
    """The Parquet file of rows, byte for byte as the stage `snapshot` writes frozen ones."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet"
        write_parquet(path, rows.schema, rows.to_batches())
        return path.read_bytes()


def _frozen_months(store: Store) -> Iterator[tuple[str, dict[str, str]]]:
    """The MD5 of each folder that is a frozen month, and its files: name to MD5."""
    for md5 in store.objects():
        if not md5.endswith(".dir"):
            continue
        files = {entry["relpath"]: entry["md5"] for entry in json.loads(store.read(md5))}
        if files and set(files) <= set(_FILES):
            yield md5, files
